//! The engine's time: the store's, carried on by this machine's monotonic clock.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use saga_store::Timestamp;

use crate::erased::BoxFuture;

/// Tells the time and waits for it. Injected, so that tests run without waiting.
pub(crate) trait Clock: Send + Sync + 'static {
    /// The store's time, as far as this process knows.
    fn now(&self) -> Timestamp;
    /// Waits until a moment.
    fn sleep_until(&self, moment: Timestamp) -> BoxFuture<'static, ()>;
    /// How long this process has measured by now. Never goes back, whatever the store says: leases
    /// are counted by it.
    fn elapsed(&self) -> Duration;
    /// The store has just said what time it is.
    fn learn(&self, store_now: Timestamp);
}

/// The clock of a real engine.
pub(crate) struct SystemClock {
    begun: Instant,
    anchor: Mutex<(Timestamp, Instant)>,
}

impl SystemClock {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self { begun: now, anchor: Mutex::new((Timestamp::from_system_clock(), now)) }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let (base, at) = *self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        base.after(at.elapsed())
    }

    fn sleep_until(&self, moment: Timestamp) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(moment.since(self.now())))
    }

    fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    fn learn(&self, store_now: Timestamp) {
        *self.anchor.lock().unwrap_or_else(PoisonError::into_inner) = (store_now, Instant::now());
    }
}
