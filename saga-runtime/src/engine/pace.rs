//! How often what does not answer is asked again.

use std::time::Duration;

use crate::clock::Clock;

/// How often a store that does not answer is asked again by whoever can wait.
pub(super) const OUTAGE_POLL: Duration = Duration::from_secs(1);

/// How often a worker without its lease looks whether it has it again.
pub(super) const LEASE_CHECK: Duration = Duration::from_millis(100);

/// The wait before a call without an answer is sent again: short at first, twice as long each time.
#[derive(Debug)]
pub(super) struct Backoff(Duration);

impl Backoff {
    const FIRST: Duration = Duration::from_millis(20);
    const LONGEST: Duration = Duration::from_secs(5);

    pub(super) fn new() -> Self {
        Self(Self::FIRST)
    }

    /// There was an answer.
    pub(super) fn answered(&mut self) {
        self.0 = Self::FIRST;
    }

    /// The wait that comes now.
    pub(super) fn next(&self) -> Duration {
        self.0
    }

    /// Waits.
    pub(super) async fn wait(&mut self, clock: &dyn Clock) {
        clock.sleep_until(clock.now().after(self.0)).await;
        self.0 = (self.0 * 2).min(Self::LONGEST);
    }
}
