//! Logs each attempt's end, and puts what it logs itself into a span.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use saga_store::Timestamp;
use saga_store::wire::{FailureKind, Payload};
use tower_layer::Layer;
use tower_service::Service;

use super::Attempt;
use crate::activity::{ActivityContext, AttemptEnd, AttemptFailure};
use crate::classify::Class;

/// One line for each attempt that ends, at a level that says how: `debug` for a success and for a
/// refusal, which the workflow deals with, `info` for an error of the activity, `warn` for a timeout,
/// a panic and the like. What the activity logs is in the span `attempt`, which names its run.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Logging;

impl Logging {
    /// The layer.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl<S> Layer<S> for Logging {
    type Service = Logged<S>;

    fn layer(&self, inner: S) -> Logged<S> {
        Logged { inner }
    }
}

/// The service of [`Logging`].
#[derive(Debug, Clone)]
pub struct Logged<S> {
    inner: S,
}

impl<S> Service<Attempt> for Logged<S>
where
    S: Service<Attempt, Response = Payload, Error = AttemptFailure>,
    S::Future: Unpin,
{
    type Response = Payload;
    type Error = AttemptFailure;
    type Future = LoggedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AttemptFailure>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, attempt: Attempt) -> Self::Future {
        logged(attempt, |attempt| self.inner.call(attempt))
    }
}

/// An attempt on its way, to be logged.
pub(super) fn logged<F>(attempt: Attempt, call: impl FnOnce(Attempt) -> F) -> LoggedFuture<F> {
    let context = attempt.context.clone();
    let span = tracing::info_span!(
        "attempt",
        run = %context.run_id(),
        workflow = &*context.scope().workflow,
        activity = context.activity(),
        step = %context.task(),
        attempt = context.attempt(),
        undo = context.is_undo(),
    );
    let begun = context.scope().common.clock.now();
    let inner = span.in_scope(|| call(attempt));
    LoggedFuture { inner, span, context, begun }
}

/// An attempt whose end will be logged.
pub struct LoggedFuture<F> {
    inner: F,
    span: tracing::Span,
    context: ActivityContext,
    begun: Timestamp,
}

impl<F: Future<Output = AttemptEnd> + Unpin> Future for LoggedFuture<F> {
    type Output = AttemptEnd;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<AttemptEnd> {
        let this = &mut *self;
        let polled = this.span.in_scope(|| Pin::new(&mut this.inner).poll(cx));
        if let Poll::Ready(end) = &polled {
            log(&this.context, end, this.begun);
        }
        polled
    }
}

/// Logs an attempt that has ended. The line names its run itself, so that it can be read where spans are
/// filtered out.
fn log(context: &ActivityContext, end: &AttemptEnd, begun: Timestamp) {
    let scope = context.scope();
    let took = || -> Duration { scope.common.clock.now().since(begun) };
    macro_rules! line {
        ($level:ident, $outcome:literal, $($field:tt)*) => {
            tracing::$level!(
                parent: None,
                run = %context.run_id(),
                workflow = &*scope.workflow,
                activity = context.activity(),
                step = %context.task(),
                attempt = context.attempt(),
                undo = context.is_undo(),
                outcome = $outcome,
                duration = ?took(),
                $($field)*
            )
        };
    }
    match end {
        Ok(_) => line!(debug, "completed", "attempt completed"),
        Err(AttemptFailure { failure, class }) => match failure.kind {
            // A refusal is an answer that the workflow deals with.
            FailureKind::Returned if *class == Class::Permanent => {
                line!(debug, "refused", error = %failure.message, "attempt refused");
            }
            FailureKind::Returned => line!(info, "failed", error = %failure.message, "attempt failed"),
            _ => line!(warn, "failed", kind = ?failure.kind, error = %failure.message, "attempt failed"),
        },
    }
}
