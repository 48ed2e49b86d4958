//! One life of this worker in its store: from a join until it is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use saga_store::Incarnation;

/// A lease that is over for good.
const OVER: u64 = 0;

/// A life of this worker. When it is over its runs are no longer this worker's, whatever the next
/// life brings: so each run keeps the life under which it was taken.
#[derive(Debug)]
pub(crate) struct Membership {
    incarnation: Incarnation,
    /// Until when the lease is sure, in microseconds of the process's own time.
    lease_until: AtomicU64,
}

impl Membership {
    /// A life whose lease is sure until a moment of the process's own time.
    pub(crate) fn new(incarnation: Incarnation, lease_until: Duration) -> Self {
        Self { incarnation, lease_until: AtomicU64::new(micros(lease_until)) }
    }

    /// Its name: what its commits carry.
    pub(crate) fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Whether attempts may start: the lease, counted from sending the last good beat, is not over.
    pub(crate) fn holds_lease(&self, now: Duration) -> bool {
        micros(now) < self.lease_until.load(Ordering::Acquire)
    }

    /// The store has heard a beat.
    pub(crate) fn extend(&self, until: Duration) {
        let later = |current| (current != OVER).then(|| micros(until));
        // A life that is over stays so.
        let _ = self.lease_until.fetch_update(Ordering::AcqRel, Ordering::Acquire, later);
    }

    /// The store no longer knows it.
    pub(crate) fn end(&self) {
        self.lease_until.store(OVER, Ordering::Release);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.lease_until.load(Ordering::Acquire) == OVER
    }
}

/// At least 1, since 0 has a meaning of its own.
fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1)
}

/// By what right this worker drives a run.
#[derive(Debug, Clone)]
pub(crate) struct Tenure {
    /// The life of this worker that the store gave the run to.
    pub(crate) membership: Arc<Membership>,
    /// Whether the owner before did not release it: a claim record comes first.
    pub(crate) taken_over: bool,
    /// How many takeovers in a row ended with the worker's death.
    pub(crate) deaths: u32,
    /// Whether a crash of the store may undo it, or has: a claim is not flushed by itself.
    pub(crate) may_be_undone: bool,
}

impl Tenure {
    /// A run that was started for this worker, or that it goes on with.
    pub(crate) fn own(membership: Arc<Membership>) -> Self {
        Self { membership, taken_over: false, deaths: 0, may_be_undone: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_that_is_over_cannot_be_extended() {
        let second = Duration::from_secs(1);
        let membership = Membership::new(Incarnation::from_bytes([1; 16]), second * 5);
        assert!(membership.holds_lease(second * 4));
        assert!(!membership.holds_lease(second * 5));
        assert!(!membership.is_over(), "a lease that has passed may be taken up again");
        membership.extend(second * 8);
        assert!(membership.holds_lease(second * 7));
        membership.end();
        membership.extend(second * 20);
        assert!(membership.is_over() && !membership.holds_lease(Duration::ZERO));
    }
}
