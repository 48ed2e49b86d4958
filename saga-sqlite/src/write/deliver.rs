//! Puts messages into inboxes.

use bytes::Bytes;
use rusqlite::{Row, params};
use saga_store::{Claim, ClaimedRun, Delivery, ExecutionId, Hint, Message, MessageId, Target};

use super::Cx;
use super::claim::take_woken;
use crate::error::Abort;
use crate::sql;

/// Delivers each message once.
pub(crate) fn deliver(cx: &mut Cx<'_, '_>, messages: &[Message]) -> Result<Vec<Delivery>, Abort> {
    messages.iter().map(|message| Ok(deliver_one(cx, message, None)?.0)).collect()
}

/// The same, and gives what `claim` can have of what they wake.
pub(crate) fn deliver_and_claim(
    cx: &mut Cx<'_, '_>,
    messages: &[Message],
    claim: &Claim,
) -> Result<(Vec<Delivery>, Vec<ClaimedRun>), Abort> {
    let (mut answers, mut claimed) = (Vec::with_capacity(messages.len()), Vec::new());
    for message in messages {
        let claim = Some(claim).filter(|claim| claimed.len() < claim.slots);
        let (answer, taken) = deliver_one(cx, message, claim)?;
        answers.push(answer);
        claimed.extend(taken);
    }
    Ok((answers, claimed))
}

fn deliver_one(
    cx: &mut Cx<'_, '_>,
    message: &Message,
    claim: Option<&Claim>,
) -> Result<(Delivery, Option<ClaimedRun>), Abort> {
    let known = cx.session.first(&sql::DELIVERED_TO, [message.id.as_bytes()], |row| row.get(0))?;
    if let Some(execution) = known {
        return Ok((Delivery::Duplicate(ExecutionId::from_bytes(execution)), None));
    }
    let read = |row: &Row<'_>| Ok((row.get(0)?, ExecutionId::from_bytes(row.get(1)?), row.get(2)?, row.get(3)?));
    let target: Option<(i64, _, bool, bool)> = match &message.to {
        Target::Run(id) => cx.session.first(&sql::TARGET_RUN, [id.as_str()], read)?,
        Target::Execution(execution) => cx.session.first(&sql::TARGET_EXECUTION, [execution.as_bytes()], read)?,
    };
    let Some((run, execution, free, ended)) = target else { return Ok((Delivery::NoRun, None)) };
    if ended {
        return Ok((Delivery::Ended(execution), None));
    }
    put(cx, run, message.id, &message.body, free)?;
    let taken = match claim.filter(|_| free) {
        Some(claim) => take_woken(cx, run, claim)?,
        None => None,
    };
    if taken.is_none() {
        cx.hints.push(Hint::Inbox(execution));
        if free {
            cx.hints.push(Hint::Ready);
        }
    }
    Ok((Delivery::New(execution), taken))
}

/// Puts a message at the end of an inbox; a run that nobody owns is due from now on.
pub(super) fn put(cx: &Cx<'_, '_>, run: i64, id: MessageId, body: &Bytes, free: bool) -> Result<(), Abort> {
    let (session, now) = (cx.session, cx.now.as_micros());
    let position: Option<i64> = session.first(&sql::NEXT_POSITION, [run], |row| row.get(0))?;
    session.run(&sql::ADD_MESSAGE, params![run, position, id.as_bytes(), now, &body[..]])?;
    if free {
        session.run(&sql::WAKE, params![run, now])?;
    }
    Ok(())
}

/// Removes messages that are known to be delivered from the outbox.
pub(crate) fn forget(cx: &mut Cx<'_, '_>, messages: &[MessageId]) -> Result<(), Abort> {
    for message in messages {
        cx.session.run(&sql::REMOVE_OUTBOX, [message.as_bytes()])?;
    }
    Ok(())
}
