//! Circuit breakers: one an activity, shared by the process.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use saga_store::Timestamp;

use crate::activity::BreakerOptions;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// So many failures in a row.
    Closed(u32),
    /// No attempt before this moment.
    Open(Timestamp),
    /// One attempt is under way to try.
    HalfOpen,
}

/// The state of all breakers.
#[derive(Debug, Default)]
pub(crate) struct Breakers {
    states: Mutex<BTreeMap<&'static str, State>>,
}

impl Breakers {
    /// Asks for an attempt; a refusal says how long to wait.
    pub(crate) fn admit(
        &self,
        activity: &'static str,
        options: BreakerOptions,
        now: Timestamp,
    ) -> Result<(), Duration> {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let state = states.entry(activity).or_insert(State::Closed(0));
        match *state {
            State::Closed(_) => Ok(()),
            State::Open(until) if now >= until => {
                *state = State::HalfOpen;
                Ok(())
            }
            State::Open(until) => Err(until.since(now)),
            State::HalfOpen => Err(options.cooldown),
        }
    }

    /// An admitted attempt has ended.
    pub(crate) fn ended(&self, activity: &'static str, options: BreakerOptions, healthy: bool, now: Timestamp) {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let state = states.entry(activity).or_insert(State::Closed(0));
        *state = match *state {
            _ if healthy => State::Closed(0),
            State::Closed(failures) if failures + 1 < options.failures => State::Closed(failures + 1),
            State::Closed(_) | State::HalfOpen => State::Open(now.after(options.cooldown)),
            open @ State::Open(_) => open,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: BreakerOptions = BreakerOptions { failures: 2, cooldown: Duration::from_secs(30) };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_tries_one_attempt_after_the_cooldown() {
        let breakers = Breakers::default();
        breakers.ended("pay", OPTIONS, false, at(0));
        breakers.ended("pay", OPTIONS, true, at(0));
        breakers.ended("pay", OPTIONS, false, at(0));
        assert_eq!(breakers.admit("pay", OPTIONS, at(0)), Ok(()), "a success in between starts the count anew");
        breakers.ended("pay", OPTIONS, false, at(0));
        assert_eq!(breakers.admit("pay", OPTIONS, at(10)), Err(Duration::from_secs(20)));
        assert_eq!(breakers.admit("ship", OPTIONS, at(10)), Ok(()), "each activity has its own");
        assert_eq!(breakers.admit("pay", OPTIONS, at(30)), Ok(()));
        assert!(breakers.admit("pay", OPTIONS, at(30)).is_err(), "one attempt tries, the others wait");
        breakers.ended("pay", OPTIONS, true, at(31));
        assert_eq!(breakers.admit("pay", OPTIONS, at(31)), Ok(()));
    }

    #[test]
    fn a_failed_try_opens_it_again() {
        let breakers = Breakers::default();
        for _ in 0..2 {
            breakers.ended("pay", OPTIONS, false, at(0));
        }
        assert_eq!(breakers.admit("pay", OPTIONS, at(30)), Ok(()));
        breakers.ended("pay", OPTIONS, false, at(31));
        assert_eq!(breakers.admit("pay", OPTIONS, at(32)), Err(Duration::from_secs(29)));
    }
}
