//! Now and then what this worker drives is held against what the store says that it owns.
//!
//! Nothing relies on it while all goes well. But the answer to a claim can be lost, a task can
//! end by a defect, a hint can go astray; and a run that its worker owns and does not drive, or a
//! message that nobody has heard of, would wait for ever, since to all others the worker lives.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use saga_store::{ClaimedRun, Differences, ErrorKind, ExecutionId};

use super::intake;
use super::live::Reserved;
use super::membership::Membership;
use super::sessions;
use super::shared::Shared;

/// After so many slow polls the worker asks: 30 s.
const EVERY: u32 = 3;

/// A hint that everything may have changed is looked at at once, but no more often than this.
const PAUSE: Duration = Duration::from_millis(250);

/// The most undriven runs that are asked for at a time.
const MOST: usize = 1024;

/// Asks for as long as the engine lives.
pub(crate) async fn work(shared: Arc<Shared>) {
    // What was found to be undriven: perhaps only because its driver had not begun.
    let mut suspects = BTreeSet::new();
    let mut last_session = None;
    loop {
        let pause = if suspects.is_empty() { shared.slow_poll.saturating_mul(EVERY) } else { shared.slow_poll };
        let least = shared.clock.now().after(PAUSE.min(shared.slow_poll));
        tokio::select! {
            biased;
            () = shared.look_at_all.notified() => {}
            () = shared.clock.sleep_until(shared.clock.now().after(pause)) => {}
        }
        if shared.is_stopping() {
            return;
        }
        let membership = shared.membership();
        if membership.holds_lease(shared.clock.elapsed()) {
            suspects = look(&shared, &membership, &suspects).await;
            match sessions::end_orphans(&shared, last_session).await {
                Ok(session) => last_session = session,
                Err(error) => tracing::warn!(%error, "whether its sessions are still wanted cannot be read now"),
            }
        }
        shared.clock.sleep_until(least).await;
    }
}

/// Asks once; gives what seems to be undriven for the first time.
async fn look(
    shared: &Arc<Shared>,
    membership: &Arc<Membership>,
    suspects: &BTreeSet<ExecutionId>,
) -> BTreeSet<ExecutionId> {
    // Looked at before the store is asked: what comes later is in no answer.
    let drivers = shared.live.all();
    let driven: Vec<ExecutionId> = drivers.keys().copied().collect();
    let found = match shared.store.reconcile(membership.incarnation(), &driven, MOST).await {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(%error, "what this worker owns cannot be read now");
            if error.kind() == ErrorKind::Locked {
                shared.doubt.notify_one();
            }
            return suspects.clone();
        }
    };
    if membership.is_over() {
        // What was asked for is another life's.
        return BTreeSet::new();
    }
    let Differences { undriven, lost, unread } = found;
    // The driver that was there when the store was asked, not one that may have come since.
    for driver in lost.iter().filter_map(|execution| drivers.get(execution)) {
        driver.lost();
    }
    for driver in unread.iter().filter_map(|execution| drivers.get(execution)) {
        driver.inbox();
    }
    let undriven = undriven.into_iter().filter(|run| !shared.live.has(run.execution));
    let (mut certain, new): (Vec<ClaimedRun>, Vec<_>) = undriven.partition(|run| suspects.contains(&run.execution));
    // Only for what there is to take up. What finds no place is as certain the next time.
    let room = shared.live.reserve(certain.len()).map(Reserved::told);
    let rest = certain.split_off(room.as_ref().map_or(0, Reserved::places));
    if !certain.is_empty() {
        tracing::warn!(runs = certain.len(), first = %certain[0].id, "runs of this worker had nobody who drives them; they are taken up");
        if let Err(error) = intake::take_up(shared, membership, certain).await {
            tracing::warn!(%error, "they cannot be taken up now");
        }
    }
    rest.into_iter().chain(new).map(|run| run.execution).collect()
}
