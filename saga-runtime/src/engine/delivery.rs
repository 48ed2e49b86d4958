//! Delivery of messages: what an answer of the store means for each.

use std::sync::Arc;
use std::time::Duration;

use saga_store::message::MessageBody;
use saga_store::wire::Conclusion;
use saga_store::{Delivery, ExecutionId, Message, MessageId, RunState, StoreError, Target};

use super::pace::Backoff;
use super::shared::Shared;
use super::successor;
use super::wake;

/// How often a message is tried again whose run goes on in an execution that is not there yet, and
/// the longest wait between two tries. Then it is left to a sweep.
const LATER_ROUNDS: u32 = 12;
const LATER_WAIT: Duration = Duration::from_secs(1);

/// Delivers messages and forgets them.
pub(super) async fn send(shared: &Arc<Shared>, messages: Vec<Message>) {
    let mut groups = vec![messages];
    let mut later = Vec::new();
    let mut backoff = Backoff::new();
    while let Some(mut group) = groups.pop() {
        if group.is_empty() {
            continue;
        }
        match wake::deliver(shared, &shared.spawner, group.clone()).await {
            Ok(answers) => {
                backoff.answered();
                let mut sent = Vec::with_capacity(group.len());
                for (message, answer) in group.into_iter().zip(answers) {
                    match arrived(shared, message, answer).await {
                        Ok(Fate::Settled(id)) => sent.push(id),
                        Ok(Fate::Onward(message, next)) => later.push((message, next)),
                        Err(error) => tracing::warn!(%error, "where a message is to go cannot be read now"),
                    }
                }
                forget(shared, sent).await;
            }
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, messages = group.len(), retry_in = ?backoff.next(), "messages cannot be delivered now");
                backoff.wait(&*shared.clock).await;
                groups.push(group);
            }
            Err(error) if group.len() > 1 => {
                tracing::debug!(%error, "a group of messages is refused; it is halved");
                let rest = group.split_off(group.len() / 2);
                groups.push(rest);
                groups.push(group);
            }
            Err(error) => tracing::error!(%error, message = %group[0].id, "the store refuses a message; it is left"),
        }
    }
    if !later.is_empty() {
        let office = Arc::clone(shared);
        shared.spawner.spawn(async move { send_on(&office, later).await });
    }
}

/// What is to become of a message.
enum Fate {
    /// Nothing more: it is there, or nobody will ever read it.
    Settled(MessageId),
    /// Its run goes on in this execution.
    Onward(Message, ExecutionId),
}

/// What a delivery asks for.
async fn arrived(shared: &Shared, message: Message, answer: Delivery) -> Result<Fate, StoreError> {
    match answer {
        Delivery::New(_) | Delivery::Duplicate(_) => return Ok(Fate::Settled(message.id)),
        Delivery::Ended(execution) => {
            let view = shared.store.get_execution(execution).await?;
            let conclusion =
                view.and_then(|view| view.conclusion).and_then(|bytes| saga_store::wire::decode(&bytes).ok());
            if let Some(Conclusion::Continued { next }) = conclusion
                && successor::goes_on(&message.body)
            {
                return Ok(Fate::Onward(message, next));
            }
        }
        Delivery::NoRun => {}
    }
    if let Ok(MessageBody::Event(event)) = MessageBody::from_bytes(&message.body) {
        let (event, to) = (event.name, message.to);
        tracing::warn!(event, ?to, ?answer, "an event that a run has sent is dropped: nobody will read it");
        return Ok(Fate::Settled(message.id));
    }
    Ok(Fate::Settled(message.id))
}

/// Sends messages on to executions in which their runs go on, in their order. One that is not there
/// yet is about to be started.
async fn send_on(shared: &Arc<Shared>, messages: Vec<(Message, ExecutionId)>) {
    for (message, next) in messages {
        match send_on_one(shared, &message, next).await {
            Ok(true) => forget(shared, vec![message.id]).await,
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "where a message is to go cannot be read now"),
        }
    }
}

/// Whether nothing is left to do.
async fn send_on_one(shared: &Arc<Shared>, message: &Message, mut next: ExecutionId) -> Result<bool, StoreError> {
    let mut wait = Duration::from_millis(5);
    for _ in 0..LATER_ROUNDS {
        let to = Message { to: Target::Execution(next), ..message.clone() };
        match wake::deliver(shared, &shared.spawner, vec![to.clone()]).await?.first() {
            None | Some(Delivery::NoRun) => {
                shared.clock.sleep_until(shared.clock.now().after(wait)).await;
                wait = (wait * 2).min(LATER_WAIT);
            }
            Some(answer) => match arrived(shared, to, *answer).await? {
                Fate::Settled(_) => return Ok(true),
                Fate::Onward(_, further) => next = further,
            },
        }
    }
    // Either nobody has started it yet, or it has been purged, and the run has gone further.
    let view = match &message.to {
        Target::Run(id) => shared.store.get(id).await?,
        Target::Execution(execution) => shared.store.get_execution(*execution).await?,
    };
    let Some(view) = view else { return Ok(true) };
    Ok(shared.store.get(&view.id).await?.is_none_or(|newest| newest.state != RunState::Continued))
}

/// Forgets what has been delivered. What is not forgotten now is sent, recognised and forgotten
/// again by a later sweep.
pub(super) async fn forget(shared: &Shared, sent: Vec<MessageId>) {
    if !sent.is_empty()
        && let Err(error) = shared.store.forget(sent).await
    {
        tracing::debug!(%error, "delivered messages cannot be forgotten now");
    }
}
