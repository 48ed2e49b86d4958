//! Who is there, and who gets what.

use std::time::Duration;

use saga_store::{
    Beat, BuildId, Claim, ClaimedRun, Differences, ErrorKind, ExecutionId, Hint, Incarnation, Joined, NodeInfo, Peer,
    RunId, StoreError,
};

use tokio_postgres::Row;
use uuid::Uuid;

use super::number;
use crate::db::{Db, For};
use crate::error::Abort;
use crate::ledger::Ticket;
use crate::sql;

pub(crate) async fn join(db: &Db, node: &NodeInfo) -> Result<Joined, Abort> {
    let lease = number(node.lease.as_micros());
    // A name is for operators; none is worth a failure.
    let text = |text: &str| text.chars().filter(|char| *char != '\0').collect::<String>();
    let (name, build) = (text(&node.name), text(&node.build.0));
    let rows = db.query(For::Heart, sql::JOIN, &[node.incarnation.as_uuid(), &name, &lease, &build]).await?;
    let now = rows.first().map_or(0, |row| row.get(0));
    let dead: Vec<Uuid> = rows.first().map(|row| row.get(1)).unwrap_or_default();
    Ok(Joined { now: db.time(now), proven_dead: dead.into_iter().map(Incarnation::from_uuid).collect() })
}

pub(crate) async fn beat(db: &Db, incarnation: Incarnation) -> Result<Beat, Abort> {
    let rows = db.query(For::Heart, sql::BEAT, &[incarnation.as_uuid()]).await?;
    let now = rows.first().map_or(0, |row| row.get(0));
    let member = rows.first().is_some_and(|row| row.get(1));
    let peer = |row: &Row| {
        Some(Peer {
            incarnation: Incarnation::from_uuid(row.get::<_, Option<Uuid>>(2)?),
            beats: row.get::<_, i64>(3).cast_unsigned(),
            lease: Duration::from_micros(row.get::<_, i64>(4).cast_unsigned()),
            build: BuildId(row.get::<_, &str>(5).into()),
            dead: row.get(6),
        })
    };
    Ok(Beat { now: db.time(now), member, peers: rows.iter().filter_map(peer).collect() })
}

/// Ends a membership; whether it owned runs, which are ready now.
pub(crate) async fn leave(db: &Db, incarnation: Incarnation) -> Result<bool, Abort> {
    let rows = db.query(For::Engine, sql::LEAVE, &[incarnation.as_uuid()]).await?;
    Ok(freed(&rows))
}

/// Lets go what strangers own; whether there was any.
pub(crate) async fn sweep(db: &Db) -> Result<bool, Abort> {
    Ok(freed(&db.query(For::Engine, sql::SWEEP, &[]).await?))
}

fn freed(rows: &[Row]) -> bool {
    rows.first().is_some_and(|row| row.get::<_, i64>(0) > 0)
}

/// Runs that are due, the lane that was served last, and what to tell.
pub(crate) async fn claim(
    db: &Db,
    claim: &Claim,
    last_lane: Option<&str>,
    ticket: Ticket,
) -> Result<(Vec<ClaimedRun>, Option<String>, Vec<Hint>), Abort> {
    let names: Vec<&str> = claim.filter.workflows.iter().map(|(name, _)| name.as_str()).collect();
    let versions: Vec<i64> = claim.filter.workflows.iter().map(|(_, version)| (*version).into()).collect();
    let build = &*claim.build.0;
    let slots = number(claim.slots);
    let Ticket { number, again } = ticket;
    let by = claim.incarnation;
    let values: crate::db::Values<'_> = &[by.as_uuid(), &names, &versions, &build, &slots, &last_lane, &number, &again];
    let rows = db.query(For::Engine, sql::CLAIM, values).await?;
    require_member(&rows, by)?;
    if !rows.first().is_some_and(|row| row.get(9)) {
        return Ok((given(db, by, number).await?, None, Vec::new()));
    }
    let claimed = claimed(&rows)?;
    let lane = if claimed.is_empty() { None } else { rows.last().and_then(|row| row.get(7)) };
    // Others may have looked while these rows were locked, and found nothing.
    let more = rows.first().is_some_and(|row| row.get(8));
    let hints = if more && !claimed.is_empty() { vec![Hint::Ready] } else { Vec::new() };
    Ok((claimed, lane, hints))
}

pub(crate) async fn adopt(
    db: &Db,
    dead: Incarnation,
    by: Incarnation,
    max: usize,
    ticket: Ticket,
) -> Result<Vec<ClaimedRun>, Abort> {
    if dead == by {
        let message = format!("the worker {by} cannot take over from itself");
        return Err(StoreError::new(ErrorKind::Invalid, message).into());
    }
    let max = number(max);
    let values: crate::db::Values<'_> = &[dead.as_uuid(), by.as_uuid(), &max, &ticket.number, &ticket.again];
    let rows = db.query(For::Engine, sql::ADOPT, values).await?;
    require_member(&rows, by)?;
    if !rows.first().is_some_and(|row| row.get(7)) {
        return given(db, by, ticket.number).await;
    }
    claimed(&rows)
}

/// Forgets a dead worker if nothing of it is left.
pub(crate) async fn bury(db: &Db, dead: Incarnation) -> Result<(), Abort> {
    db.query(For::Engine, sql::BURY, &[dead.as_uuid()]).await.map(drop)
}

/// What a claim of this number gave, when it came for the first time. In a statement of its own:
/// that of the repeated claim may have begun before the first one ended.
async fn given(db: &Db, by: Incarnation, number: i64) -> Result<Vec<ClaimedRun>, Abort> {
    let rows = db.query(For::Engine, sql::GIVEN, &[by.as_uuid(), &number]).await?;
    claimed(&rows)
}

fn require_member(rows: &[Row], incarnation: Incarnation) -> Result<(), Abort> {
    if rows.first().is_some_and(|row| row.get(0)) {
        return Ok(());
    }
    let message = format!("the worker {incarnation} is not a member of this store; join with a new incarnation");
    Err(StoreError::new(ErrorKind::Locked, message).into())
}

fn claimed(rows: &[Row]) -> Result<Vec<ClaimedRun>, Abort> {
    let mut claimed = Vec::with_capacity(rows.len());
    for row in rows {
        if row.get::<_, Option<Uuid>>(1).is_some() {
            claimed.push(claimed_run(row)?);
        }
    }
    Ok(claimed)
}

fn claimed_run(row: &Row) -> Result<ClaimedRun, Abort> {
    Ok(ClaimedRun {
        execution: ExecutionId::from_uuid(row.get(1)),
        id: run_id(row.get(2))?,
        workflow: row.get(3),
        version: version(row.get(4)),
        taken_over: row.get(5),
        deaths: row.get::<_, i32>(6).cast_unsigned(),
    })
}

/// Compares what a worker owns with what it drives.
pub(crate) async fn reconcile(
    db: &Db,
    owner: Incarnation,
    driven: &[ExecutionId],
    max: usize,
) -> Result<Differences, Abort> {
    let driven: Vec<Uuid> = driven.iter().map(|execution| *execution.as_uuid()).collect();
    let values: crate::db::Values<'_> = &[owner.as_uuid(), &driven, &number(max)];
    let mut found = Differences::default();
    for row in db.query(For::Engine, sql::RECONCILE, values).await? {
        let execution = ExecutionId::from_uuid(row.get(1));
        match row.get::<_, i32>(0) {
            0 => found.undriven.push(claimed_run(&row)?),
            1 => found.lost.push(execution),
            _ => found.unread.push(execution),
        }
    }
    Ok(found)
}

/// A name that the store has taken before.
pub(crate) fn run_id(text: &str) -> Result<RunId, Abort> {
    RunId::new(text).map_err(|error| {
        let message = format!("the database has a run of a name that no store takes: {error}");
        StoreError::new(ErrorKind::Incompatible, message).into()
    })
}

pub(crate) fn version(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
