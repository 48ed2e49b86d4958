//! The store's time.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use saga_store::Timestamp;

/// The machine's clock, except that it never goes back: not when the machine's does, and not
/// behind what an earlier process wrote.
#[derive(Debug)]
pub(crate) struct Clock {
    last: Mutex<(Timestamp, Instant)>,
}

impl Clock {
    pub(crate) fn not_before(earliest: Timestamp) -> Self {
        Self { last: Mutex::new((earliest, Instant::now())) }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.read(Timestamp::from_system_clock(), Instant::now())
    }

    fn read(&self, system: Timestamp, instant: Instant) -> Timestamp {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = system.max(last.0.after(instant.saturating_duration_since(last.1)));
        *last = (now, last.1.max(instant));
        now
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn time_goes_on_when_the_machines_clock_is_set_back() {
        let clock = Clock::not_before(Timestamp::from_micros(1_000_000));
        let start = Instant::now() + Duration::from_secs(1);
        let first = clock.read(Timestamp::from_micros(10_000_000), start);
        assert_eq!(first, Timestamp::from_micros(10_000_000));
        let set_back = clock.read(Timestamp::from_micros(5), start + Duration::from_secs(2));
        assert_eq!(set_back, Timestamp::from_micros(12_000_000));
        let set_forward = clock.read(Timestamp::from_micros(99_000_000), start + Duration::from_secs(2));
        assert_eq!(set_forward, Timestamp::from_micros(99_000_000));
    }
}
