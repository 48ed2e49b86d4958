//! Ends an attempt that takes too long.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use saga_store::Timestamp;
use saga_store::wire::{FailureKind, Payload};
use tower_layer::Layer;
use tower_service::Service;

use super::Attempt;
use crate::activity::{ActivityContext, AttemptEnd, AttemptFailure, Common};
use crate::classify::Class;
use crate::erased::BoxFuture;

/// Ends an attempt after its timeout, and fails it as one that may have had an effect; so too one
/// that was silent for as long as its activity's `heartbeat = "…"` says. What is further in counts,
/// what is further out does not. An attempt that has asked to be told
/// ([`ActivityContext::cancelled`]) is told and has the engine's grace to end by itself; an output that
/// it then gives counts. Any other is dropped.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Timeout;

impl Timeout {
    /// The layer.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl<S> Layer<S> for Timeout {
    type Service = Timed<S>;

    fn layer(&self, inner: S) -> Timed<S> {
        Timed { inner }
    }
}

/// The service of [`Timeout`].
#[derive(Debug, Clone)]
pub struct Timed<S> {
    inner: S,
}

impl<S> Service<Attempt> for Timed<S>
where
    S: Service<Attempt, Response = Payload, Error = AttemptFailure>,
    S::Future: Unpin,
{
    type Response = Payload;
    type Error = AttemptFailure;
    type Future = TimedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AttemptFailure>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, attempt: Attempt) -> Self::Future {
        timed(attempt, |attempt| self.inner.call(attempt))
    }
}

/// An attempt on its way, with its limit.
pub(super) fn timed<F>(attempt: Attempt, call: impl FnOnce(Attempt) -> F) -> TimedFuture<F> {
    TimedFuture {
        limit: attempt.timeout,
        default: attempt.default_timeout,
        silence: attempt.definition.options.heartbeat,
        context: attempt.context.clone(),
        wait: None,
        inner: call(attempt),
    }
}

/// An attempt with a limit. The timer is set up only when it does not end at its first poll.
pub struct TimedFuture<F> {
    inner: F,
    limit: Duration,
    default: bool,
    /// How long it may be silent.
    silence: Option<Duration>,
    /// What knows of its signs of life, and tells it to stop.
    context: ActivityContext,
    /// Set up at its first poll, if it does not end there.
    wait: Option<Box<Wait>>,
}

/// The wait for an attempt.
struct Wait {
    /// When it is out of time.
    over: Timestamp,
    /// When the timer is due, and the wait for that.
    timer: Option<(Timestamp, BoxFuture<'static, ()>)>,
    /// Why it was told to stop.
    out_of_time: Option<AttemptFailure>,
}

impl<F: Future<Output = AttemptEnd> + Unpin> Future for TimedFuture<F> {
    type Output = AttemptEnd;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<AttemptEnd> {
        let this = &mut *self;
        if let Poll::Ready(end) = Pin::new(&mut this.inner).poll(cx) {
            return Poll::Ready(match (this.wait.as_mut().and_then(|wait| wait.out_of_time.take()), end) {
                (Some(failure), Err(end)) => Err(in_grace(failure, end.class)),
                (_, end) => end,
            });
        }
        let Common { clock, grace, .. } = &*this.context.scope().common;
        let wait = this.wait.get_or_insert_with(|| {
            this.context.begins();
            Box::new(Wait { over: clock.now().after(this.limit), timer: None, out_of_time: None })
        });
        // When the attempt will have been silent for too long if it goes on so.
        let silent_at = || Some(this.context.last_beat()?.after(this.silence?));
        loop {
            let due = silent_at().map_or(wait.over, |at| at.min(wait.over));
            let (due, timer) = wait.timer.get_or_insert_with(|| (due, clock.sleep_until(due)));
            let due = *due;
            ready!(timer.as_mut().poll(cx));
            wait.timer = None;
            if let Some(failure) = wait.out_of_time.take() {
                return Poll::Ready(Err(failure));
            }
            let activity = this.context.activity();
            let failure = match (this.silence, silent_at()) {
                // It has said something meanwhile.
                (_, Some(at)) if due < wait.over && at > due => continue,
                (Some(most), _) if due < wait.over => silent_for(activity, most),
                _ => timed_out(activity, this.limit, this.default),
            };
            if !this.context.stop() {
                return Poll::Ready(Err(failure));
            }
            wait.out_of_time = Some(failure);
            let until = clock.now().after(*grace);
            wait.timer = Some((until, clock.sleep_until(until)));
        }
    }
}

/// The failure of an attempt that was told that it is out of time, and ended with an error of this
/// class: it still knows best whether it had an effect.
fn in_grace(failure: AttemptFailure, class: Class) -> AttemptFailure {
    let class = Class::Transient { no_effect: !class.may_have_effect(), retry_after: None };
    AttemptFailure { class, ..failure }
}

/// The failure of an attempt that gives no sign of life.
fn silent_for(activity: &str, most: Duration) -> AttemptFailure {
    let message = format!(
        "`{activity}` gave no sign of life for {most:?}, its `heartbeat`; call `cx.heartbeat(…)` more often, or raise it"
    );
    AttemptFailure::engine(FailureKind::TimedOut, Class::TRANSIENT, message)
}

/// The failure of an attempt that is out of time.
pub(crate) fn timed_out(activity: &str, limit: Duration, default: bool) -> AttemptFailure {
    let hint = if default { ", the default; set `timeout`" } else { "" };
    let message = format!("`{activity}` timed out after {limit:?}{hint}");
    AttemptFailure::engine(FailureKind::TimedOut, Class::TRANSIENT, message)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt as _;
    use saga_store::wire::OpId;

    use super::*;
    use crate::activity::{Beats, ContextParts, Sent, alone};
    use crate::clock::Still;

    fn context(clock: &Arc<Still>) -> ActivityContext {
        ActivityContext::new(ContextParts {
            scope: alone::scope(Arc::<Still>::clone(clock), Arc::new(alone::Nobody)),
            on_behalf: None,
            activity: "copy",
            op: OpId::root(),
            key: None,
            attempt: 1,
            undo: false,
            lifeline: Some(Arc::default()),
            progress: None,
            in_transaction: false,
            beats: Beats::default(),
            sent: Sent::default(),
        })
    }

    type Never = std::future::Pending<AttemptEnd>;

    /// An attempt that never ends, may take a minute, and may be silent for ten seconds.
    fn attempt(context: ActivityContext) -> TimedFuture<Never> {
        attempt_by(context, std::future::pending())
    }

    fn attempt_by<F>(context: ActivityContext, inner: F) -> TimedFuture<F> {
        TimedFuture {
            inner,
            limit: Duration::from_secs(60),
            default: false,
            silence: Some(Duration::from_secs(10)),
            context,
            wait: None,
        }
    }

    fn message(end: AttemptEnd) -> String {
        let failure = end.unwrap_err();
        assert_eq!((failure.failure.kind, failure.class), (FailureKind::TimedOut, Class::TRANSIENT));
        failure.failure.message
    }

    #[test]
    fn an_attempt_that_is_silent_for_too_long_is_ended() {
        let clock = Still::new();
        let context = context(&clock);
        let mut attempt = attempt(context.clone());
        for _ in 0..3 {
            assert!((&mut attempt).now_or_never().is_none());
            clock.pass(9);
            context.heartbeat(&()).unwrap();
        }
        assert!((&mut attempt).now_or_never().is_none());
        clock.pass(9);
        assert!((&mut attempt).now_or_never().is_none(), "its last word was nine seconds ago");
        clock.pass(1);
        let end = (&mut attempt).now_or_never().unwrap();
        let said =
            "`copy` gave no sign of life for 10s, its `heartbeat`; call `cx.heartbeat(…)` more often, or raise it";
        assert_eq!(message(end), said);
    }

    #[test]
    fn what_waits_further_out_is_no_silence() {
        let clock = Still::new();
        let context = context(&clock);
        let mut attempt = attempt(context);
        clock.pass(9);
        assert!((&mut attempt).now_or_never().is_none());
        clock.pass(9);
        assert!((&mut attempt).now_or_never().is_none(), "it has been silent for nine seconds");
        clock.pass(1);
        assert!(message((&mut attempt).now_or_never().unwrap()).starts_with("`copy` gave no sign of life"));
    }

    #[test]
    fn signs_of_life_do_not_extend_the_timeout() {
        let clock = Still::new();
        let context = context(&clock);
        let mut attempt = attempt(context.clone());
        for _ in 0..12 {
            assert!((&mut attempt).now_or_never().is_none());
            clock.pass(5);
            context.heartbeat(&()).unwrap();
        }
        assert_eq!(message((&mut attempt).now_or_never().unwrap()), "`copy` timed out after 60s");
    }

    /// An attempt that goes on until it is told to stop, and then ends so.
    fn stops_with(clock: &Arc<Still>, end: AttemptEnd) -> AttemptEnd {
        let context = context(clock);
        let cancelled = context.cancelled();
        let inner = Box::pin(async move {
            cancelled.await;
            end
        });
        let mut attempt = attempt_by(context, inner);
        assert!((&mut attempt).now_or_never().is_none());
        clock.pass(10);
        // Told at this poll, it ends at the next.
        (&mut attempt).now_or_never().or_else(|| (&mut attempt).now_or_never()).expect("it was told")
    }

    #[test]
    fn an_output_that_comes_in_the_grace_counts_and_an_error_is_the_timeout() {
        let clock = Still::new();
        assert_eq!(stops_with(&clock, Ok(Payload::json("7"))), Ok(Payload::json("7")));
        let error = |class| Err(AttemptFailure::engine(FailureKind::Returned, class, "stopped"));
        let no_effect = Class::Transient { no_effect: true, retry_after: None };
        for (class, then) in
            [(Class::Permanent, no_effect), (no_effect, no_effect), (Class::TRANSIENT, Class::TRANSIENT)]
        {
            let failure = stops_with(&clock, error(class)).unwrap_err();
            assert_eq!((failure.failure.kind, failure.class), (FailureKind::TimedOut, then), "{class:?}");
        }
    }

    #[test]
    fn an_attempt_that_asked_to_be_told_is_dropped_after_the_grace() {
        let clock = Still::new();
        let context = context(&clock);
        assert!(!context.is_cancelled());
        let mut attempt = attempt(context.clone());
        assert!((&mut attempt).now_or_never().is_none());
        clock.pass(10);
        assert!((&mut attempt).now_or_never().is_none());
        assert!(context.is_cancelled());
        clock.pass(4);
        assert!((&mut attempt).now_or_never().is_none());
        clock.pass(1);
        assert!(message((&mut attempt).now_or_never().unwrap()).starts_with("`copy` gave no sign of life"));
    }
}
