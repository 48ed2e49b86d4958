//! Deletes runs that ended long ago, a few at a time.

use std::sync::Arc;
use std::time::Duration;

use saga_store::Timestamp;

use super::shared::Shared;

/// Every so many slow polls: once a minute.
const EVERY: u32 = 6;

/// The most runs in one call of the store, and the pause between two.
const BATCH: usize = 1_000;
const PAUSE: Duration = Duration::from_secs(1);

/// Deletes what ended longer ago than it is kept, for as long as the engine lives.
pub(crate) async fn work(shared: Arc<Shared>, keep: Duration) {
    loop {
        shared.clock.sleep_until(shared.clock.now().after(shared.slow_poll.saturating_mul(EVERY))).await;
        if shared.is_stopping() {
            return;
        }
        purge(&shared, keep).await;
    }
}

async fn purge(shared: &Shared, keep: Duration) {
    let keep = i64::try_from(keep.as_micros()).unwrap_or(i64::MAX);
    let before = Timestamp::from_micros(shared.clock.now().as_micros().saturating_sub(keep));
    let mut runs = 0;
    loop {
        match shared.store.purge(before, BATCH).await {
            Ok(purged) => {
                runs += purged.runs;
                if !purged.more || purged.runs == 0 || shared.is_stopping() {
                    break;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "runs that ended long ago cannot be deleted now");
                break;
            }
        }
        shared.clock.sleep_until(shared.clock.now().after(PAUSE)).await;
    }
    if runs > 0 {
        tracing::info!(runs, "runs that ended long ago are deleted");
    }
}
