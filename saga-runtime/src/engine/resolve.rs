//! Finds out what became of starts that got no answer.
//!
//! Their callers were told that it is unknown. A run that is there is this worker's, and must not stay
//! with a worker that ignores it; so each start is sent again, unchanged, until the store says. It has
//! the place of its run meanwhile. One task does it, however many there are: first one at a time, then
//! as many more as go well, so that one whose id somebody holds keeps no other.

use std::sync::Arc;

use saga_store::{NewRun, Started};

use super::intake;
use super::pace::OUTAGE_POLL;
use super::shared::Shared;

/// The most starts in one call.
const GROUP_LIMIT: usize = 64;

/// Takes in a start that got no answer. Where there is no room for it, nor for its run, that is found
/// when what the worker owns is held against what it drives.
pub(super) fn take_in(shared: &Arc<Shared>, new: NewRun) {
    let execution = new.execution;
    let ours = new.claim_for == Some(shared.membership().incarnation());
    let keep = || ours && shared.live.keep_place(execution, || shared.queues.keep(&new.workflow));
    if !(keep() && shared.unanswered.keep(new.clone())) {
        shared.live.let_go(execution);
    }
}

/// Sends them again for as long as the engine lives.
pub(crate) async fn work(shared: Arc<Shared>) {
    let mut size = GROUP_LIMIT;
    loop {
        let group = shared.unanswered.first(size).await;
        if shared.is_stopping() {
            return;
        }
        let count = group.len();
        match shared.store.start(group.clone()).await {
            Ok(answers) => {
                for (new, answer) in group.into_iter().zip(answers) {
                    answered(&shared, new, answer).await;
                }
                shared.unanswered.settled(count);
                size = (size * 2).min(GROUP_LIMIT);
            }
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, starts = count, "whether runs were started cannot be found out now");
                shared.unanswered.put_back();
                size = 1;
                shared.clock.sleep_until(shared.clock.now().after(OUTAGE_POLL)).await;
            }
            Err(_) if count > 1 => size = 1,
            Err(error) => {
                tracing::error!(%error, run = %group[0].id, "whether the run was started cannot be found out");
                shared.live.let_go(group[0].execution);
                shared.unanswered.settled(1);
            }
        }
    }
}

async fn answered(shared: &Arc<Shared>, new: NewRun, answer: Started) {
    let is_there = match answer {
        Started::New => true,
        Started::Existing { execution, .. } => execution == new.execution,
        _ => false,
    };
    let membership = shared.membership();
    // What a life that is over has claimed is free in the store.
    if is_there && new.claim_for == Some(membership.incarnation()) {
        intake::reload_own(Arc::clone(shared), new.execution, membership).await;
    }
    shared.live.let_go(new.execution);
}
