//! Takes over the runs of a dead worker.

use rusqlite::params;
use saga_store::{ClaimedRun, ErrorKind, Incarnation, StoreError};

use super::Cx;
use super::claim::take;
use crate::error::Abort;
use crate::sql;

/// Takes up to `max` of them, and the messages that it had yet to send.
pub(crate) fn adopt(
    cx: &mut Cx<'_, '_>,
    dead: Incarnation,
    by: Incarnation,
    max: usize,
) -> Result<Vec<ClaimedRun>, Abort> {
    cx.core.require_member(by).map_err(Abort::Refused)?;
    if dead == by {
        let message = format!("the worker {by} cannot take over from itself");
        return Err(Abort::Refused(StoreError::new(ErrorKind::Invalid, message)));
    }
    if let Some(member) = cx.core.members().known.get_mut(&dead) {
        member.dead = true;
    }
    cx.session.run(&sql::MOVE_OUTBOX, params![dead.as_bytes(), by.as_bytes()])?;
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    let runs: Vec<i64> = cx.session.all(&sql::OWNED_BY, params![dead.as_bytes(), max], |row| row.get(0))?;
    let mut adopted = Vec::with_capacity(runs.len());
    for run in runs {
        cx.session.run(&sql::ADD_DEATH, [run])?;
        adopted.extend(take(cx, run, by)?);
    }
    Ok(adopted)
}

/// Whether nothing is left to take over from a dead worker.
pub(crate) fn is_empty(cx: &Cx<'_, '_>, dead: Incarnation) -> Result<bool, Abort> {
    Ok(cx.session.first(&sql::OWNED_BY, params![dead.as_bytes(), 1], |_| Ok(()))?.is_none())
}
