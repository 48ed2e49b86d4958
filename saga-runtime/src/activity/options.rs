//! What an activity's attribute, or a call, can set; and the retry policy that follows from it.

use std::time::Duration;

use saga_store::wire::{AtCall, Retry};

/// What `#[activity(…)]` says. What it leaves out has the defaults named here.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct ActivityOptions {
    /// How long one attempt may take. Default: 30 s.
    pub timeout: Option<Duration>,
    /// How long an attempt may be silent: without a heartbeat for so long it is ended as timed out.
    /// Default: as long as it takes.
    pub heartbeat: Option<Duration>,
    /// When a failed attempt is repeated.
    pub retry: RetryOptions,
    /// When to let no attempt through.
    pub circuit_breaker: Option<BreakerOptions>,
    /// It changes nothing, so there is nothing to undo.
    pub read_only: bool,
    /// It is the point of no return.
    pub pivot: bool,
    /// It may follow the point of no return: it is retried until it succeeds.
    pub retriable: bool,
    /// The queue whose workers run it. Without one it runs in the process that runs the workflow.
    pub queue: Option<&'static str>,
    /// Of the steps that wait on the queue those with a higher priority go first. Default: 0.
    pub priority: Option<i16>,
}

impl ActivityOptions {
    /// Nothing set.
    pub const DEFAULT: Self = Self {
        timeout: None,
        heartbeat: None,
        retry: RetryOptions::DEFAULT,
        circuit_breaker: None,
        read_only: false,
        pivot: false,
        retriable: false,
        queue: None,
        priority: None,
    };
    /// How long one attempt may take if nothing else is said: 30 s.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

    /// Sets the time that one attempt may take.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets how long an attempt may be silent.
    #[must_use]
    pub const fn heartbeat(mut self, heartbeat: Duration) -> Self {
        self.heartbeat = Some(heartbeat);
        self
    }

    /// Sets when a failed attempt is repeated.
    #[must_use]
    pub const fn retry(mut self, retry: RetryOptions) -> Self {
        self.retry = retry;
        self
    }

    /// Sets the circuit breaker.
    #[must_use]
    pub const fn circuit_breaker(mut self, breaker: BreakerOptions) -> Self {
        self.circuit_breaker = Some(breaker);
        self
    }

    /// Declares that it changes nothing.
    #[must_use]
    pub const fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Declares that it is the point of no return.
    #[must_use]
    pub const fn pivot(mut self) -> Self {
        self.pivot = true;
        self
    }

    /// Sets the queue whose workers run it.
    #[must_use]
    pub const fn queue(mut self, queue: &'static str) -> Self {
        self.queue = Some(queue);
        self
    }

    /// Sets its priority among the steps that wait on the queue.
    #[must_use]
    pub const fn priority(mut self, priority: i16) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Declares that it is retried until it succeeds.
    #[must_use]
    pub const fn retriable(mut self) -> Self {
        self.retriable = true;
        self
    }
}

/// What `retry(…)` says.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RetryOptions {
    /// The most attempts, the first one included. Default: 5.
    pub max_attempts: Option<u32>,
    /// The delay after the first attempt. Default: 100 ms.
    pub initial: Option<Duration>,
    /// The longest delay. Default: 30 s.
    pub max: Option<Duration>,
    /// Each delay is the one before times this. Default: 2.
    pub multiplier: Option<f64>,
    /// Each delay is varied by up to this share of it. Default: 0.2.
    pub jitter: Option<f64>,
}

impl RetryOptions {
    /// Nothing set.
    pub const DEFAULT: Self = Self { max_attempts: None, initial: None, max: None, multiplier: None, jitter: None };
}

/// What `circuit_breaker(…)` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerOptions {
    /// So many failures in a row open it.
    pub failures: u32,
    /// So long after it opened one attempt is let through to try.
    pub cooldown: Duration,
    /// The parameter whose value it is kept by; without one all attempts share one.
    pub key: Option<&'static str>,
}

/// When a failed attempt is repeated. Pure: the delay is a journal timer and holds no slot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// The most attempts, the first one included; `None` is for ever.
    pub max_attempts: Option<u32>,
    /// The delay after the first attempt.
    pub initial: Duration,
    /// The longest delay.
    pub max: Duration,
    /// Each delay is the one before times this.
    pub multiplier: f64,
    /// Each delay is varied by up to this share of it, either way.
    pub jitter: f64,
}

impl RetryPolicy {
    /// What an activity has that says nothing: 5 attempts from 100 ms, doubling, to 30 s.
    pub const DEFAULT: Self = Self {
        max_attempts: Some(5),
        initial: Duration::from_millis(100),
        max: Duration::from_secs(30),
        multiplier: 2.0,
        jitter: 0.2,
    };
    /// What undo steps have: for ever, from 100 ms, doubling, to 5 min.
    pub const UNDO: Self = Self { max_attempts: None, max: Duration::from_secs(300), ..Self::DEFAULT };
    /// A single attempt.
    pub const NONE: Self = Self { max_attempts: Some(1), ..Self::DEFAULT };

    /// The default with what these options set.
    pub fn from_options(options: RetryOptions, base: Self) -> Self {
        let initial = options.initial.unwrap_or(base.initial);
        Self {
            max_attempts: options.max_attempts.or(base.max_attempts),
            initial,
            max: options.max.unwrap_or(base.max).max(initial),
            multiplier: options.multiplier.unwrap_or(base.multiplier),
            jitter: options.jitter.unwrap_or(base.jitter),
        }
    }

    /// The delay after attempt number `attempt` (from 1), or `None` if that was the last.
    /// `random` is uniform in 0..1.
    pub fn delay_after(&self, attempt: u32, random: f64) -> Option<Duration> {
        if self.max_attempts.is_some_and(|max| attempt >= max) {
            return None;
        }
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let grown = self.initial.as_secs_f64() * self.multiplier.powi(exponent);
        let capped = grown.min(self.max.as_secs_f64());
        let varied = capped * (1.0 + self.jitter * (2.0 * random - 1.0));
        Some(Duration::try_from_secs_f64(varied).unwrap_or(self.max))
    }

    pub(crate) fn to_wire(self) -> Retry {
        Retry {
            max_attempts: self.max_attempts,
            initial: micros(self.initial),
            max: micros(self.max),
            multiplier: self.multiplier,
            jitter: self.jitter,
        }
    }

    pub(crate) fn from_wire(retry: &Retry) -> Self {
        Self {
            max_attempts: retry.max_attempts,
            initial: Duration::from_micros(retry.initial),
            max: Duration::from_micros(retry.max),
            multiplier: retry.multiplier,
            jitter: retry.jitter,
        }
    }
}

/// What a call sets in place of what the attribute says.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Overrides {
    pub(crate) timeout: Option<Duration>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) retry: Option<RetryPolicy>,
    pub(crate) no_compensation: bool,
}

impl Overrides {
    /// What of it a record keeps, so that it holds also where no code says it again.
    pub(crate) fn at_call(&self) -> Option<AtCall> {
        let (timeout, retry) = (self.timeout.map(micros), self.retry.map(RetryPolicy::to_wire));
        let at_call = AtCall { timeout, retry, key: None };
        (at_call.timeout.is_some() || at_call.retry.is_some()).then_some(at_call)
    }

    /// What a record kept.
    pub(crate) fn recorded(at_call: Option<&AtCall>) -> Self {
        let timeout = at_call.and_then(|at_call| at_call.timeout).map(Duration::from_micros);
        let retry = at_call.and_then(|at_call| at_call.retry.as_ref()).map(RetryPolicy::from_wire);
        Self { timeout, retry, ..Self::default() }
    }

    /// The attempt timeout that holds.
    pub(crate) fn timeout(&self, options: &ActivityOptions) -> Duration {
        self.timeout.or(options.timeout).unwrap_or(ActivityOptions::DEFAULT_TIMEOUT)
    }

    /// The retry policy that holds. What is retriable is retried until it succeeds.
    pub(crate) fn retry(&self, options: &ActivityOptions) -> RetryPolicy {
        let policy = self.retry.unwrap_or_else(|| RetryPolicy::from_options(options.retry, RetryPolicy::DEFAULT));
        let max_attempts = if options.retriable { None } else { policy.max_attempts };
        RetryPolicy { max_attempts, ..policy }
    }
}

pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_doubles_up_to_its_cap_and_ends_with_the_attempts() {
        let policy = RetryPolicy {
            max_attempts: Some(5),
            initial: Duration::from_secs(1),
            max: Duration::from_secs(3),
            multiplier: 2.0,
            jitter: 0.0,
        };
        let delays: Vec<_> = (1..=5).map(|attempt| policy.delay_after(attempt, 0.9)).collect();
        let seconds = |s| Some(Duration::from_secs(s));
        assert_eq!(delays, [seconds(1), seconds(2), seconds(3), seconds(3), None]);
    }

    #[test]
    fn jitter_varies_a_delay_by_its_share_either_way() {
        let policy = RetryPolicy { jitter: 0.5, ..RetryPolicy::DEFAULT };
        assert_eq!(policy.delay_after(1, 0.0), Some(Duration::from_millis(50)));
        assert_eq!(policy.delay_after(1, 1.0), Some(Duration::from_millis(150)));
    }

    #[test]
    fn a_delay_after_very_many_attempts_is_the_cap() {
        let policy = RetryPolicy { jitter: 0.0, ..RetryPolicy::UNDO };
        assert_eq!(policy.delay_after(u32::MAX, 0.5), Some(Duration::from_secs(300)));
    }
}
