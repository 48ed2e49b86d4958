//! Puts messages into inboxes.

use std::collections::BTreeMap;

use saga_store::{Claim, ClaimedRun, Delivery, ExecutionId, Hint, Message, MessageId, Target};
use uuid::Uuid;

use super::own::{run_id, version};
use super::{index, number, place};
use crate::db::{Db, For};
use crate::error::Abort;
use crate::sql;

/// How often a delivery is tried that another session made at the same moment.
const ROUNDS: usize = 8;

/// The most messages in one statement.
const MOST: usize = 256;

/// What became of messages, and which runs they gave.
pub(crate) struct Delivered {
    pub(crate) answers: Vec<Delivery>,
    pub(crate) claimed: Vec<ClaimedRun>,
    pub(crate) hints: Vec<Hint>,
}

/// What the server says to one message.
struct Answer {
    at: usize,
    delivery: Delivery,
    /// Nobody owns its run.
    free: bool,
    /// Its run was given.
    given: bool,
}

/// Delivers each message once; gives what `claim` can have of what they wake, if one statement takes them all:
/// what the first of several has given would be lost with the answer of the next.
pub(crate) async fn deliver(db: &Db, messages: &[Message], claim: Option<&Claim>) -> Result<Delivered, Abort> {
    let mut first: BTreeMap<MessageId, usize> = BTreeMap::new();
    for (at, message) in messages.iter().enumerate() {
        first.entry(message.id).or_insert(at);
    }
    let mut once: Vec<usize> = first.values().copied().collect();
    once.sort_unstable();
    let mut answers: Vec<Delivery> = vec![Delivery::NoRun; messages.len()];
    let (mut claimed, mut hints) = (Vec::new(), Vec::new());
    let claim = claim.filter(|_| once.len() <= MOST);
    for part in once.chunks(MOST) {
        for Answer { at, delivery, free, given } in deliver_some(db, messages, part, claim, &mut claimed).await? {
            if let Delivery::New(execution) = delivery
                && !given
            {
                hints.push(Hint::Inbox(execution));
                if free {
                    hints.push(Hint::Ready);
                }
            }
            answers[at] = delivery;
        }
    }
    for (at, message) in messages.iter().enumerate() {
        let before = first[&message.id];
        if before != at {
            answers[at] = match answers[before] {
                Delivery::New(execution) => Delivery::Duplicate(execution),
                other => other,
            };
        }
    }
    Ok(Delivered { answers, claimed, hints })
}

/// Delivers some; adds the runs that were given.
async fn deliver_some(
    db: &Db,
    messages: &[Message],
    part: &[usize],
    claim: Option<&Claim>,
    claimed: &mut Vec<ClaimedRun>,
) -> Result<Vec<Answer>, Abort> {
    let ords: Vec<i32> = part.iter().map(|at| place(*at)).collect();
    let ids: Vec<Uuid> = part.iter().map(|at| *messages[*at].id.as_uuid()).collect();
    let to_runs: Vec<Option<&str>> = part
        .iter()
        .map(|at| match &messages[*at].to {
            Target::Run(id) => Some(id.as_str()),
            Target::Execution(_) => None,
        })
        .collect();
    let to_executions: Vec<Option<Uuid>> = part
        .iter()
        .map(|at| match &messages[*at].to {
            Target::Run(_) => None,
            Target::Execution(execution) => Some(*execution.as_uuid()),
        })
        .collect();
    let bodies: Vec<&[u8]> = part.iter().map(|at| &messages[*at].body[..]).collect();
    let names: Vec<&str> = served(claim).map(|(name, _)| name.as_str()).collect();
    let versions: Vec<i64> = served(claim).map(|(_, version)| (*version).into()).collect();
    let mut round = 0;
    let rows = loop {
        round += 1;
        let sent = match claim {
            None => db.query(For::Clients, sql::DELIVER, &[&ords, &ids, &to_runs, &to_executions, &bodies]).await,
            Some(claim) => {
                let (build, by, slots) = (&*claim.build.0, claim.incarnation.as_uuid(), number(claim.slots));
                let values: crate::db::Values<'_> =
                    &[&ords, &ids, &to_runs, &to_executions, &bodies, &build, by, &names, &versions, &slots];
                db.query(For::Clients, sql::DELIVER_AND_CLAIM, values).await
            }
        };
        match sent {
            Err(abort) if round < ROUNDS && (abort.is_a_race() || abort.is_deadlock()) => {}
            sent => break sent?,
        }
    };
    let mut answers = Vec::with_capacity(rows.len());
    for row in &rows {
        let execution = |column| row.get::<_, Option<Uuid>>(column).map(ExecutionId::from_uuid);
        let free: Option<bool> = row.get(3);
        let delivery = match (execution(1), execution(2), free) {
            (Some(known), ..) => Delivery::Duplicate(known),
            (None, None, _) => Delivery::NoRun,
            (None, Some(execution), None) => Delivery::Ended(execution),
            (None, Some(execution), Some(_)) => Delivery::New(execution),
        };
        let given = match delivery {
            Delivery::New(execution) if claim.is_some() => given(row, execution)?,
            _ => None,
        };
        answers.push(Answer { at: index(row.get(0)), delivery, free: free.unwrap_or(false), given: given.is_some() });
        // Two messages may have woken one run.
        claimed.extend(given.filter(|run| claimed.iter().all(|other| other.execution != run.execution)));
    }
    Ok(answers)
}

fn served(claim: Option<&Claim>) -> impl Iterator<Item = &(String, u32)> {
    claim.into_iter().flat_map(|claim| &claim.filter.workflows)
}

/// The run that a message has woken, if it was given: it had been released.
fn given(row: &tokio_postgres::Row, execution: ExecutionId) -> Result<Option<ClaimedRun>, Abort> {
    let Some(id) = row.get::<_, Option<&str>>(4) else { return Ok(None) };
    Ok(Some(ClaimedRun {
        id: run_id(id)?,
        execution,
        workflow: row.get(5),
        version: version(row.get(6)),
        taken_over: false,
        deaths: row.get::<_, i32>(7).cast_unsigned(),
    }))
}

/// Removes messages that are known to be delivered from the outbox.
pub(crate) async fn forget(db: &Db, messages: &[MessageId]) -> Result<(), Abort> {
    let mut ids: Vec<Uuid> = messages.iter().map(|message| *message.as_uuid()).collect();
    // Two workers that forget the same messages lock their rows in one order.
    ids.sort_unstable();
    db.query(For::Engine, sql::FORGET, &[&ids]).await?;
    Ok(())
}
