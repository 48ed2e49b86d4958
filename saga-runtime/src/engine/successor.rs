//! Starting the next execution of a run that goes on: what the delivery of that order does.

use std::sync::Arc;

use saga_store::message::MessageBody;
use saga_store::wire::{Continued, Entry, NextStart, OpId, Record, RunStarted, encode};
use saga_store::{InboxMessage, NewRun, OnExisting, RunId, RunView, StoreError, Timestamp};

use super::offspring::{self, Birth};
use super::pace::Backoff;
use super::shared::Shared;
use crate::client::{LocalWorker as _, digest};
use crate::derive;
use crate::externalize::externalize;

/// Starts the next execution, unless it is there. Whether nothing is left to do; else the order stays
/// in the outbox.
pub(super) async fn start(shared: &Arc<Shared>, order: &NextStart, birth: Birth) -> bool {
    let mut backoff = Backoff::new();
    let mut unknown = false;
    let done = loop {
        match try_to_start(shared, order, birth, unknown).await {
            Ok(done) => break done,
            Err(error) if error.is_retryable() && birth == Birth::Anywhere => {
                tracing::warn!(%error, run = order.id, "a run cannot go on as new now; its order stays in the outbox");
                break false;
            }
            Err(error) if error.is_retryable() => {
                unknown = true;
                tracing::warn!(%error, run = order.id, retry_in = ?backoff.next(), "a run cannot go on as new now");
                backoff.wait(&*shared.clock).await;
            }
            Err(error) => {
                tracing::error!(%error, run = order.id, "the store refuses the next execution of a run; it is left");
                break false;
            }
        }
    };
    if birth == Birth::Here {
        shared.let_go(order.continued.next);
    }
    done
}

async fn try_to_start(
    shared: &Arc<Shared>,
    order: &NextStart,
    birth: Birth,
    unknown: bool,
) -> Result<bool, StoreError> {
    // An execution with this order in its outbox is not purged.
    let Some(of) = shared.store.get_execution(order.of).await? else { return Ok(true) };
    // It takes no more messages: what it has not consumed stays the same.
    let unread = shared.store.inbox(order.of, 0).await?;
    let (run, whole) = match new_run(shared, order, of, unread, birth) {
        Ok(new) => new,
        Err(why) => {
            tracing::error!(run = order.id, %why, "a run cannot go on as new; its order is left");
            return Ok(false);
        }
    };
    let Some(started) = shared.store.start(vec![run.clone()]).await?.pop() else { return Ok(false) };
    match offspring::settle(shared, run, whole, started, unknown).await {
        Some(Ok(())) => Ok(true),
        Some(Err(why)) => {
            tracing::error!(run = order.id, %why, "a run cannot go on as new; its order is left");
            Ok(false)
        }
        None => Ok(false),
    }
}

/// The next execution as the store takes it, and its first record with large payloads in their places.
fn new_run(
    shared: &Arc<Shared>,
    order: &NextStart,
    of: RunView,
    unread: Vec<InboxMessage>,
    birth: Birth,
) -> Result<(NewRun, Record), String> {
    let Continued { next, version, input, terms, lane, priority, .. } = &order.continued;
    let said = terms.clone().unwrap_or_default();
    let not_before = said.begin.map(Timestamp::from_micros);
    let started = RunStarted {
        workflow: order.workflow.clone(),
        version: *version,
        id: order.id.clone(),
        input: input.clone(),
        seed: order.seed,
        terms: offspring::run_terms(&said, order.deadline),
        parent: order.parent.clone(),
    };
    let now = shared.clock.now();
    let mut entries = vec![Entry::Started(Box::new(started))];
    let whole = Record::new(now, entries.clone());
    let blobs = externalize(&mut entries, &shared.entropy, now);
    let recorded = order.events.iter().map(|event| MessageBody::Event(event.clone()).to_bytes());
    let unread = unread.into_iter().map(|message| message.body).filter(|body| goes_on(body));
    let messages = (0..).zip(recorded.chain(unread));
    let claims = birth == Birth::Here && not_before.is_none();
    let new = NewRun {
        id: RunId::new(&order.id).map_err(|error| error.to_string())?,
        execution: *next,
        workflow: order.workflow.clone(),
        version: *version,
        lane: lane.clone().unwrap_or(of.lane),
        priority: priority.unwrap_or(of.priority),
        not_before,
        attributes: merged(of.attributes, said.attributes.unwrap_or_default()),
        memo: said.memo.as_ref().map(encode).or(of.memo),
        input_digest: input.inline().map_or(0, |bytes| digest(bytes)),
        first: Record::new(now, entries).to_bytes(),
        nonce: shared.entropy.nonce(),
        blobs,
        messages: messages
            .map(|(place, body)| (derive::message(*next, &OpId::root().child(place), "left over", now), body))
            .collect(),
        claim_for: claims.then(|| shared.claims_for(&order.workflow, *version, *next)).flatten(),
        on_existing: OnExisting::Succeed(order.of),
    };
    Ok((new, whole))
}

/// Whether a message that one execution has not read is for the next one. What answers to a step or a
/// child of the finished one is not.
pub(super) fn goes_on(body: &[u8]) -> bool {
    matches!(
        MessageBody::from_bytes(body),
        Ok(MessageBody::Event(_)
            | MessageBody::Cancel(_)
            | MessageBody::Suspend(_)
            | MessageBody::Resume(_)
            | MessageBody::Terminate(_))
    )
}

/// The run's attributes, with those that the call names in their places.
fn merged(of: Vec<(String, String)>, said: Vec<(String, String)>) -> Vec<(String, String)> {
    let kept = of.into_iter().filter(|(name, _)| !said.iter().any(|(new, _)| new == name));
    let kept: Vec<_> = kept.collect();
    kept.into_iter().chain(said).collect()
}
