//! The engine's time: the store's, carried on by this machine's monotonic clock.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use saga_store::Timestamp;

use crate::erased::BoxFuture;

#[cfg(test)]
pub(crate) use still::Still;

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

    /// Both, of one look at the clock: on the hot path each look counts.
    fn read(&self) -> Reading {
        Reading { now: self.now(), elapsed: self.elapsed() }
    }
}

/// What a clock said at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    /// [`Clock::now`].
    pub(crate) now: Timestamp,
    /// [`Clock::elapsed`].
    pub(crate) elapsed: Duration,
}

/// The clock of a real engine.
pub(crate) struct SystemClock {
    begun: Instant,
    /// The store's time when it began, in microseconds.
    store_begun: AtomicI64,
}

impl SystemClock {
    pub(crate) fn new() -> Self {
        Self::that_says(Timestamp::from_system_clock())
    }

    /// A clock of a machine that may be wrong, until the store says what time it is.
    pub(crate) fn that_says(time: Timestamp) -> Self {
        Self { begun: Instant::now(), store_begun: AtomicI64::new(time.as_micros()) }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        self.read().now
    }

    fn read(&self) -> Reading {
        let elapsed = self.begun.elapsed();
        let now = Timestamp::from_micros(self.store_begun.load(Ordering::Relaxed)).after(elapsed);
        Reading { now, elapsed }
    }

    fn sleep_until(&self, moment: Timestamp) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(moment.since(self.now())))
    }

    fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    fn learn(&self, store_now: Timestamp) {
        let elapsed = i64::try_from(self.begun.elapsed().as_micros()).unwrap_or(i64::MAX);
        self.store_begun.store(store_now.as_micros().saturating_sub(elapsed), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod still {
    use std::sync::Arc;

    use tokio::sync::watch;

    use super::*;

    /// Time that stands still until the test moves it.
    pub(crate) struct Still(watch::Sender<Duration>);

    impl Still {
        pub(crate) fn new() -> Arc<Self> {
            Arc::new(Self(watch::channel(Duration::ZERO).0))
        }

        pub(crate) fn pass(&self, seconds: u64) {
            self.0.send_modify(|now| *now += Duration::from_secs(seconds));
        }
    }

    impl Clock for Still {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(0).after(*self.0.borrow())
        }

        fn sleep_until(&self, moment: Timestamp) -> BoxFuture<'static, ()> {
            let mut now = self.0.subscribe();
            let until = moment.since(Timestamp::from_micros(0));
            Box::pin(async move {
                now.wait_for(|now| *now >= until).await.expect("the clock outlives who waits");
            })
        }

        fn elapsed(&self) -> Duration {
            *self.0.borrow()
        }

        fn learn(&self, _: Timestamp) {}
    }
}
