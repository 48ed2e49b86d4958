//! Ends an attempt that takes too long.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use saga_store::wire::{FailureKind, Payload};
use tower_layer::Layer;
use tower_service::Service;

use super::Attempt;
use crate::activity::{AttemptEnd, AttemptFailure};
use crate::classify::Class;
use crate::clock::Clock;
use crate::erased::BoxFuture;

/// Drops an attempt after its timeout, and fails it as one that may have had an effect. What is
/// further in counts, what is further out does not.
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
            timer: None,
            inner: self.inner.call(attempt),
        }
    }
}

/// An attempt with a limit. The timer is set up only when it does not end at its first poll.
pub struct TimedFuture<F> {
    inner: F,
    timer: Option<BoxFuture<'static, ()>>,
    clock: Arc<dyn Clock>,
    limit: Duration,
    default: bool,
    activity: &'static str,
}

impl<F: Future<Output = AttemptEnd> + Unpin> Future for TimedFuture<F> {
    type Output = AttemptEnd;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<AttemptEnd> {
        let this = &mut *self;
        if let Poll::Ready(end) = Pin::new(&mut this.inner).poll(cx) {
            return Poll::Ready(end);
        }
        let timer = this.timer.get_or_insert_with(|| this.clock.sleep_until(this.clock.now().after(this.limit)));
        timer.as_mut().poll(cx).map(|()| Err(timed_out(this.activity, this.limit, this.default)))
    }
}

/// The failure of an attempt that is out of time.
pub(crate) fn timed_out(activity: &str, limit: Duration, default: bool) -> AttemptFailure {
    let hint = if default { ", the default; set `timeout`" } else { "" };
    let message = format!("`{activity}` timed out after {limit:?}{hint}");
    AttemptFailure::engine(FailureKind::TimedOut, Class::TRANSIENT, message)
}
