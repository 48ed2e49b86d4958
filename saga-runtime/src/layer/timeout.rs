//! Ends an attempt that takes too long.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use saga_store::Timestamp;
use saga_store::wire::{FailureKind, Payload};
use tower_layer::Layer;
use tower_service::Service;

use super::Attempt;
use crate::activity::{ActivityContext, AttemptEnd, AttemptFailure};
use crate::classify::Class;
use crate::clock::Clock;
use crate::erased::BoxFuture;

/// Drops an attempt after its timeout, and fails it as one that may have had an effect; so too one
/// that was silent for as long as its activity's `heartbeat = "…"` says. What is further in counts,
/// what is further out does not.
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
        TimedFuture {
            clock: Arc::clone(&attempt.clock),
            limit: attempt.timeout,
            default: attempt.default_timeout,
            activity: attempt.definition.name,
            silence: attempt.definition.options.heartbeat.map(|most| (most, attempt.context.clone())),
            over: None,
            timer: None,
            inner: self.inner.call(attempt),
        }
    }
}

/// An attempt with a limit. The timer is set up only when it does not end at its first poll.
pub struct TimedFuture<F> {
    inner: F,
    /// When it is due, and the wait for that.
    timer: Option<(Timestamp, BoxFuture<'static, ()>)>,
    clock: Arc<dyn Clock>,
    limit: Duration,
    default: bool,
    activity: &'static str,
    /// How long it may be silent, and what knows of its signs of life.
    silence: Option<(Duration, ActivityContext)>,
    /// When it is out of time.
    over: Option<Timestamp>,
}

impl<F: Future<Output = AttemptEnd> + Unpin> Future for TimedFuture<F> {
    type Output = AttemptEnd;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<AttemptEnd> {
        let this = &mut *self;
        if let Poll::Ready(end) = Pin::new(&mut this.inner).poll(cx) {
            return Poll::Ready(end);
        }
        let over = *this.over.get_or_insert_with(|| this.clock.now().after(this.limit));
        loop {
            let due = this.silent_at().map_or(over, |at| at.min(over));
            let (due, timer) = this.timer.get_or_insert_with(|| (due, this.clock.sleep_until(due)));
            let due = *due;
            ready!(timer.as_mut().poll(cx));
            this.timer = None;
            let failure = match (&this.silence, this.silent_at()) {
                // It has said something meanwhile.
                (_, Some(at)) if due < over && at > due => continue,
                (Some((most, _)), _) if due < over => silent_for(this.activity, *most),
                _ => timed_out(this.activity, this.limit, this.default),
            };
            return Poll::Ready(Err(failure));
        }
    }
}

impl<F> TimedFuture<F> {
    /// When the attempt will have been silent for too long if it goes on so.
    fn silent_at(&self) -> Option<Timestamp> {
        let (most, context) = self.silence.as_ref()?;
        Some(context.last_beat()?.after(*most))
    }
}

/// The failure of an attempt that gives no sign of life.
fn silent_for(activity: &str, most: Duration) -> AttemptFailure {
    let message = format!("`{activity}` gave no sign of life for {most:?}, its `heartbeat`");
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
    use futures_util::FutureExt as _;
    use saga_store::wire::OpId;
    use saga_store::{ExecutionId, RunId};

    use super::*;
    use crate::activity::{Beats, Board, ContextParts, Listener};
    use crate::clock::Still;

    struct Nobody;

    impl Listener for Nobody {
        fn heard(&self) {}
    }

    fn context(clock: &Arc<Still>) -> ActivityContext {
        let board = Arc::new(Board::new(Arc::<Still>::clone(clock), Arc::new(Nobody)));
        ActivityContext::new(ContextParts {
            activity: "copy",
            run: RunId::new("A").unwrap(),
            execution: ExecutionId::from_bytes([7; 16]),
            op: OpId::root(),
            key: None,
            attempt: 1,
            undo: false,
            states: Arc::default(),
            cancelled: None,
            progress: None,
            beats: Some(Beats::new(&board, &OpId::root())),
        })
    }

    /// An attempt that never ends, may take a minute, and may be silent for ten seconds.
    fn attempt(clock: &Arc<Still>, context: ActivityContext) -> TimedFuture<std::future::Pending<AttemptEnd>> {
        TimedFuture {
            inner: std::future::pending(),
            timer: None,
            clock: Arc::<Still>::clone(clock),
            limit: Duration::from_secs(60),
            default: false,
            activity: "copy",
            silence: Some((Duration::from_secs(10), context)),
            over: None,
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
        let mut attempt = attempt(&clock, context.clone());
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
        assert_eq!(message(end), "`copy` gave no sign of life for 10s, its `heartbeat`");
    }

    #[test]
    fn signs_of_life_do_not_extend_the_timeout() {
        let clock = Still::new();
        let context = context(&clock);
        let mut attempt = attempt(&clock, context.clone());
        for _ in 0..12 {
            assert!((&mut attempt).now_or_never().is_none());
            clock.pass(5);
            context.heartbeat(&()).unwrap();
        }
        assert_eq!(message((&mut attempt).now_or_never().unwrap()), "`copy` timed out after 60s");
    }
}
