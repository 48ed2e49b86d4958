//! Messages that this process delivers. What they wake is taken up here at once, without a claim.

use std::sync::Arc;

use saga_store::{ClaimedRun, Delivery, ErrorKind, Message, StoreError};
use tokio::sync::oneshot;

use super::intake;
use super::live::Reserved;
use super::membership::Membership;
use super::shared::Shared;
use crate::spawn::Spawner;

/// The most runs that one call is given: the rest is for whoever claims it.
const MOST: usize = 64;

/// Puts messages into inboxes, and tells the drivers that their runs have here. On a task of its own:
/// what the store gives must have a driver, also if whoever sends gives up.
pub(super) async fn deliver(
    shared: &Arc<Shared>,
    spawner: &Spawner,
    messages: Vec<Message>,
) -> Result<Vec<Delivery>, StoreError> {
    let (answer, answered) = oneshot::channel();
    let engine = Arc::clone(shared);
    spawner.spawn(async move { work(&engine, messages, answer).await });
    let why = "the task that delivers it ended without an answer, as when the runtime shuts down; the message may have arrived";
    let untold = |_| Err(StoreError::new(ErrorKind::Unavailable, why));
    answered.await.unwrap_or_else(untold)
}

async fn work(
    shared: &Arc<Shared>,
    messages: Vec<Message>,
    answer: oneshot::Sender<Result<Vec<Delivery>, StoreError>>,
) {
    let membership = shared.membership();
    // Kept until all have drivers.
    let reserved = room(shared, &membership, messages.len());
    let slots = reserved.as_ref().map_or(0, Reserved::places);
    let delivered = if slots == 0 {
        shared.store.deliver(messages).await.map(|answers| (answers, Vec::new()))
    } else {
        let claim = intake::request(shared, &membership, shared.queues.unlimited(), slots);
        shared.store.deliver_and_claim(messages, &claim).await
    };
    let (answers, claimed) = match delivered {
        Ok(delivered) => delivered,
        Err(error) => {
            if slots > 0 {
                // Perhaps it was applied, and has given something.
                shared.look_at_all.notify_one();
            }
            // Whoever sends has gone.
            let _ = answer.send(Err(error));
            return;
        }
    };
    nudge(shared, &answers, &claimed);
    // Whoever sends has gone.
    let _ = answer.send(Ok(answers));
    if !claimed.is_empty()
        && let Err(error) = intake::take_up(shared, &membership, claimed).await
    {
        tracing::warn!(%error, "runs that a message has woken cannot be taken up now");
    }
    drop(reserved);
}

/// Room for runs that messages may wake. Nothing, if this worker takes none now.
fn room<'a>(shared: &'a Shared, membership: &Membership, messages: usize) -> Option<Reserved<'a>> {
    shared.takes_runs(membership).then(|| shared.live.reserve(messages.min(MOST)).map(Reserved::told)).flatten()
}

/// Tells the drivers of those that were not given: what was given reads its inbox with its journal.
fn nudge(shared: &Shared, answers: &[Delivery], claimed: &[ClaimedRun]) {
    for answer in answers {
        if let Delivery::New(execution) | Delivery::Duplicate(execution) = answer
            && claimed.iter().all(|run| run.execution != *execution)
        {
            shared.live.nudge(*execution);
        }
    }
}
