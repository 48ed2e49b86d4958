//! Circuit breakers: one an activity, or one a key of it, shared by the process.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use saga_store::Timestamp;
use saga_store::wire::{FailureKind, Payload};
use tower_layer::Layer;
use tower_service::Service;

use super::Attempt;
use crate::activity::{AttemptEnd, AttemptFailure, BreakerOptions};
use crate::classify::Class;
use crate::clock::Clock;

/// Lets no attempt of an activity through while its service is down, as the activity's
/// `circuit_breaker(failures = 5, cooldown = "30s")` says. Activities without one pass.
///
/// So many failures in a row open it; after the cooldown one attempt is let through to try, and
/// the others are refused until that has ended. A permanent error is an answer, so the service
/// works. A refused attempt has had no effect; it is repeated after the cooldown if its policy has
/// attempts left. One that runs into a [`Timeout`](super::Timeout) further in has failed. One that is given up, since its
/// branch has lost or its worker stops, says nothing of the service, nor does one that a layer further out gives up; if it
/// was the one to try, the next one does.
///
/// With `key = region` there is one breaker for each value of the parameter `region`. Those that
/// have had no failure since their last success are forgotten, so that keys cost memory only while
/// something fails.
#[derive(Debug, Clone, Default)]
pub struct CircuitBreaker {
    pub(super) breakers: Arc<Breakers>,
}

impl CircuitBreaker {
    /// The layer, with breakers of its own, all closed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl<S> Layer<S> for CircuitBreaker {
    type Service = Breaking<S>;

    fn layer(&self, inner: S) -> Breaking<S> {
        Breaking { inner, breakers: Arc::clone(&self.breakers) }
    }
}

/// The service of [`CircuitBreaker`].
#[derive(Debug, Clone)]
pub struct Breaking<S> {
    inner: S,
    breakers: Arc<Breakers>,
}

impl<S> Service<Attempt> for Breaking<S>
where
    S: Service<Attempt, Response = Payload, Error = AttemptFailure>,
    S::Future: Unpin,
{
    type Response = Payload;
    type Error = AttemptFailure;
    type Future = BreakingFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AttemptFailure>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, attempt: Attempt) -> Self::Future {
        breaking(&self.breakers, attempt, |attempt| self.inner.call(attempt))
    }
}

/// An attempt on its way, if its breaker lets it through.
pub(super) fn breaking<F>(
    breakers: &Arc<Breakers>,
    attempt: Attempt,
    call: impl FnOnce(Attempt) -> F,
) -> BreakingFuture<F> {
    let Some(options) = attempt.definition.options.circuit_breaker else {
        return BreakingFuture { inner: Ok(call(attempt)), verdict: None };
    };
    let key = Key { activity: attempt.definition.name, value: key_of(&attempt, options) };
    let clock = Arc::clone(&attempt.context.scope().common.clock);
    let tries = match breakers.admit(&key, options, clock.now()) {
        Ok(tries) => tries,
        Err(wait) => {
            return BreakingFuture { inner: Err(Some(Box::new(refusal(&key, options, wait)))), verdict: None };
        }
    };
    let breakers = Arc::clone(breakers);
    let mut verdict = Box::new(Verdict { breakers, clock, key, options, tries, healthy: UNLESS_IT_PANICS });
    let inner = Ok(call(attempt));
    verdict.healthy = None;
    BreakingFuture { inner, verdict: Some(verdict) }
}

/// The value of the parameter that the breaker is kept by.
fn key_of(attempt: &Attempt, options: BreakerOptions) -> Option<String> {
    let name = options.key?;
    let input = attempt.input().ok()?;
    let value = input.get(name)?;
    Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

fn refusal(key: &Key, options: BreakerOptions, wait: Duration) -> AttemptFailure {
    let of = key.value.as_ref().map(|value| format!(" for `{value}`")).unwrap_or_default();
    let message =
        format!("the circuit breaker of `{}`{of} is open after {} failures in a row", key.activity, options.failures);
    let class = Class::Transient { no_effect: true, retry_after: Some(wait) };
    AttemptFailure::engine(FailureKind::CircuitOpen, class, message)
}

/// An attempt that was let through, or refused.
pub struct BreakingFuture<F> {
    inner: Result<F, Option<Box<AttemptFailure>>>,
    /// Most activities have no breaker.
    verdict: Option<Box<Verdict>>,
}

impl<F: Future<Output = AttemptEnd> + Unpin> Future for BreakingFuture<F> {
    type Output = AttemptEnd;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<AttemptEnd> {
        let this = &mut *self;
        match &mut this.inner {
            Ok(inner) => {
                let Some(verdict) = &mut this.verdict else { return Pin::new(inner).poll(cx) };
                verdict.healthy = UNLESS_IT_PANICS;
                let polled = Pin::new(inner).poll(cx);
                verdict.healthy = match &polled {
                    Poll::Pending => None,
                    // A permanent error is an answer: the service works.
                    Poll::Ready(end) => {
                        Some(end.as_ref().err().is_none_or(|failure| failure.class == Class::Permanent))
                    }
                };
                this.verdict.take_if(|_| polled.is_ready());
                polled
            }
            Err(refused) => refused.take().map_or(Poll::Pending, |refused| Poll::Ready(Err(*refused))),
        }
    }
}

/// While what stands further in runs: a layer that panics has failed the attempt.
const UNLESS_IT_PANICS: Option<bool> = Some(false);

/// Tells the breaker how an admitted attempt went, or that it was given up: one that let it through to try
/// does not wait for its end.
struct Verdict {
    breakers: Arc<Breakers>,
    clock: Arc<dyn Clock>,
    key: Key,
    options: BreakerOptions,
    /// It is the one that was let through to try.
    tries: bool,
    /// Nothing is known of an attempt that has no end.
    healthy: Option<bool>,
}

impl Drop for Verdict {
    fn drop(&mut self) {
        let now = self.clock.now();
        match self.healthy {
            Some(healthy) => self.breakers.ended(&self.key, self.options, healthy, now),
            None if self.tries => self.breakers.try_given_up(&self.key, now),
            None => {}
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    activity: &'static str,
    value: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// So many failures in a row.
    Closed(u32),
    /// No attempt before this moment.
    Open(Timestamp),
    /// One attempt is under way to try.
    HalfOpen,
}

/// The state of all breakers that are not closed with no failure.
#[derive(Debug, Default)]
pub(super) struct Breakers {
    states: Mutex<BTreeMap<Key, State>>,
}

impl Breakers {
    /// Asks for an attempt, and whether it is the one to try; a refusal says how long to wait.
    fn admit(&self, key: &Key, options: BreakerOptions, now: Timestamp) -> Result<bool, Duration> {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(state) = states.get_mut(key) else { return Ok(false) };
        match *state {
            State::Closed(_) => Ok(false),
            State::Open(until) if now >= until => {
                *state = State::HalfOpen;
                Ok(true)
            }
            State::Open(until) => Err(until.since(now)),
            State::HalfOpen => Err(options.cooldown),
        }
    }

    /// An admitted attempt has ended.
    fn ended(&self, key: &Key, options: BreakerOptions, healthy: bool, now: Timestamp) {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        if healthy {
            states.remove(key);
            return;
        }
        let state = states.entry(key.clone()).or_insert(State::Closed(0));
        *state = match *state {
            State::Closed(failures) if failures + 1 < options.failures => State::Closed(failures + 1),
            State::Closed(_) | State::HalfOpen => State::Open(now.after(options.cooldown)),
            open @ State::Open(_) => open,
        };
    }

    /// The attempt that was to try will have no end.
    fn try_given_up(&self, key: &Key, now: Timestamp) {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state @ State::HalfOpen) = states.get_mut(key) {
            *state = State::Open(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Still;

    const OPTIONS: BreakerOptions = BreakerOptions { failures: 2, cooldown: Duration::from_secs(30), key: None };
    const PAY: Key = Key { activity: "pay", value: None };
    const SHIP: Key = Key { activity: "ship", value: None };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_tries_one_attempt_after_the_cooldown() {
        let breakers = Breakers::default();
        breakers.ended(&PAY, OPTIONS, false, at(0));
        breakers.ended(&PAY, OPTIONS, true, at(0));
        breakers.ended(&PAY, OPTIONS, false, at(0));
        assert_eq!(breakers.admit(&PAY, OPTIONS, at(0)), Ok(false), "a success in between starts the count anew");
        breakers.ended(&PAY, OPTIONS, false, at(0));
        assert_eq!(breakers.admit(&PAY, OPTIONS, at(10)), Err(Duration::from_secs(20)));
        assert_eq!(breakers.admit(&SHIP, OPTIONS, at(10)), Ok(false), "each activity has its own");
        assert_eq!(breakers.admit(&PAY, OPTIONS, at(30)), Ok(true));
        assert!(breakers.admit(&PAY, OPTIONS, at(30)).is_err(), "one attempt tries, the others wait");
        breakers.ended(&PAY, OPTIONS, true, at(31));
        assert_eq!(breakers.admit(&PAY, OPTIONS, at(31)), Ok(false));
    }

    #[test]
    fn a_failed_try_opens_it_again() {
        let breakers = Breakers::default();
        for _ in 0..2 {
            breakers.ended(&PAY, OPTIONS, false, at(0));
        }
        assert_eq!(breakers.admit(&PAY, OPTIONS, at(30)), Ok(true));
        breakers.ended(&PAY, OPTIONS, false, at(31));
        assert_eq!(breakers.admit(&PAY, OPTIONS, at(32)), Err(Duration::from_secs(29)));
    }

    /// What is left of the breaker by an attempt of such an end, polled once.
    fn after(attempt: impl Future<Output = AttemptEnd> + Unpin) -> Option<State> {
        let (breakers, clock) = (Arc::<Breakers>::default(), Still::new());
        let verdict =
            Verdict { breakers: Arc::clone(&breakers), clock, key: PAY, options: OPTIONS, tries: false, healthy: None };
        let mut breaking = BreakingFuture { inner: Ok(attempt), verdict: Some(Box::new(verdict)) };
        let poll = || Pin::new(&mut breaking).poll(&mut Context::from_waker(std::task::Waker::noop())).is_ready();
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(poll));
        drop(breaking);
        let states = breakers.states.lock().unwrap();
        states.get(&PAY).copied()
    }

    #[test]
    fn a_panic_is_a_failure_and_an_attempt_that_is_given_up_is_none() {
        assert_eq!(after(std::future::poll_fn(|_| panic!("a layer further in"))), Some(State::Closed(1)));
        assert_eq!(after(std::future::pending()), None);
        assert_eq!(after(std::future::ready(Err(refusal(&PAY, OPTIONS, Duration::ZERO)))), Some(State::Closed(1)));
    }

    #[test]
    fn a_try_that_is_given_up_is_left_to_the_next() {
        let breakers = Breakers::default();
        for _ in 0..2 {
            breakers.ended(&PAY, OPTIONS, false, at(0));
        }
        assert_eq!(breakers.admit(&PAY, OPTIONS, at(30)), Ok(true));
        breakers.try_given_up(&PAY, at(31));
        assert_eq!(breakers.admit(&PAY, OPTIONS, at(31)), Ok(true));
        assert!(breakers.admit(&PAY, OPTIONS, at(31)).is_err(), "the next one tries, and it alone");
        breakers.ended(&PAY, OPTIONS, false, at(32));
        breakers.try_given_up(&PAY, at(33));
        assert!(breakers.admit(&PAY, OPTIONS, at(33)).is_err(), "what is open for a failure stays so");
    }
}
