//! Logs each attempt's end, and puts what it logs itself into a span.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use saga_store::RunId;
use saga_store::Timestamp;
use saga_store::wire::{FailureKind, OpId, Payload};
use tower_layer::Layer;
use tower_service::Service;

use super::Attempt;
use crate::activity::{AttemptEnd, AttemptFailure};
use crate::classify::Class;
use crate::clock::Clock;

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
        let context = attempt.context();
        let line = Line {
            run: context.run_id().clone(),
            workflow: Arc::clone(&attempt.workflow),
            activity: context.activity(),
            step: attempt.step.clone(),
            attempt: context.attempt(),
            undo: context.is_undo(),
        };
        let span = tracing::info_span!(
            "attempt",
            run = %line.run,
            workflow = &*line.workflow,
            activity = line.activity,
            step = %line.step,
            attempt = line.attempt,
            undo = line.undo,
        );
        let clock = Arc::clone(&attempt.clock);
        let begun = clock.now();
        let inner = span.in_scope(|| self.inner.call(attempt));
        LoggedFuture { inner, span, line, clock, begun }
    }
}

/// An attempt whose end will be logged.
pub struct LoggedFuture<F> {
    inner: F,
    span: tracing::Span,
    line: Line,
    clock: Arc<dyn Clock>,
    begun: Timestamp,
}

impl<F: Future<Output = AttemptEnd> + Unpin> Future for LoggedFuture<F> {
    type Output = AttemptEnd;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<AttemptEnd> {
        let this = &mut *self;
        let polled = this.span.in_scope(|| Pin::new(&mut this.inner).poll(cx));
        if let Poll::Ready(end) = &polled {
            let took = || this.clock.now().since(this.begun);
            this.line.log(end, took);
        }
        polled
    }
}

/// What is logged of an attempt when it has ended. The line names its run itself, so that it can
/// be read where spans are filtered out.
struct Line {
    run: RunId,
    workflow: Arc<str>,
    activity: &'static str,
    step: OpId,
    attempt: u32,
    undo: bool,
}

impl Line {
    fn log(&self, end: &AttemptEnd, took: impl Fn() -> Duration) {
        macro_rules! line {
            ($level:ident, $outcome:literal, $($field:tt)*) => {
                tracing::$level!(
                    parent: None,
                    run = %self.run,
                    workflow = &*self.workflow,
                    activity = self.activity,
                    step = %self.step,
                    attempt = self.attempt,
                    undo = self.undo,
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
}
