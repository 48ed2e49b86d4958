//! Puts messages into inboxes.

use std::collections::BTreeMap;

use saga_store::{Delivery, ExecutionId, Hint, Message, MessageId, Target};
use uuid::Uuid;

use super::{index, place};
use crate::db::{Db, For};
use crate::error::Abort;
use crate::sql;

/// How often a delivery is tried that another session made at the same moment.
const ROUNDS: usize = 8;

/// The most messages in one statement.
const MOST: usize = 256;

/// Delivers each message once.
pub(crate) async fn deliver(db: &Db, messages: &[Message]) -> Result<(Vec<Delivery>, Vec<Hint>), Abort> {
    let mut first: BTreeMap<MessageId, usize> = BTreeMap::new();
    for (at, message) in messages.iter().enumerate() {
        first.entry(message.id).or_insert(at);
    }
    let mut once: Vec<usize> = first.values().copied().collect();
    once.sort_unstable();
    let mut answers: Vec<Delivery> = vec![Delivery::NoRun; messages.len()];
    let mut hints = Vec::new();
    for part in once.chunks(MOST) {
        for (at, answer, free) in deliver_some(db, messages, part).await? {
            if let Delivery::New(execution) = answer {
                hints.push(Hint::Inbox(execution));
                if free {
                    hints.push(Hint::Ready);
                }
            }
            answers[at] = answer;
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
    Ok((answers, hints))
}

async fn deliver_some(db: &Db, messages: &[Message], part: &[usize]) -> Result<Vec<(usize, Delivery, bool)>, Abort> {
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
    let mut round = 0;
    let rows = loop {
        round += 1;
        let sent = db.query(For::Clients, sql::DELIVER, &[&ords, &ids, &to_runs, &to_executions, &bodies]).await;
        match sent {
            Err(abort) if round < ROUNDS && (abort.is_a_race() || abort.is_deadlock()) => {}
            sent => break sent?,
        }
    };
    let answer = |row: &tokio_postgres::Row| {
        let execution = |column| row.get::<_, Option<Uuid>>(column).map(ExecutionId::from_uuid);
        let free: Option<bool> = row.get(3);
        let delivery = match (execution(1), execution(2), free) {
            (Some(known), ..) => Delivery::Duplicate(known),
            (None, None, _) => Delivery::NoRun,
            (None, Some(execution), None) => Delivery::Ended(execution),
            (None, Some(execution), Some(_)) => Delivery::New(execution),
        };
        (index(row.get(0)), delivery, free.unwrap_or(false))
    };
    Ok(rows.iter().map(answer).collect())
}

/// Removes messages that are known to be delivered from the outbox.
pub(crate) async fn forget(db: &Db, messages: &[MessageId]) -> Result<(), Abort> {
    let mut ids: Vec<Uuid> = messages.iter().map(|message| *message.as_uuid()).collect();
    // Two workers that forget the same messages lock their rows in one order.
    ids.sort_unstable();
    db.query(For::Engine, sql::FORGET, &[&ids]).await?;
    Ok(())
}
