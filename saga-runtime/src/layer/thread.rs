//! Code that may block: it runs on a thread of the runtime's pool, and cannot be dropped.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use saga_store::wire::{FailureKind, Payload};
use tokio::task::JoinHandle;

use crate::activity::{ActivityContext, AttemptEnd, AttemptFailure, panicked};
use crate::classify::Class;

/// A function on its thread.
pub(super) struct OnThread {
    thread: JoinHandle<AttemptEnd>,
    begun: Arc<AtomicBool>,
    ended: bool,
    context: ActivityContext,
}

impl OnThread {
    pub(super) fn start(
        code: fn(&ActivityContext, &Payload) -> AttemptEnd,
        context: ActivityContext,
        input: Payload,
    ) -> Self {
        let begun = Arc::new(AtomicBool::new(false));
        let (span, own, told) = (tracing::Span::current(), context.clone(), Arc::clone(&begun));
        let thread = tokio::task::spawn_blocking(move || {
            told.store(true, Ordering::Release);
            own.heed();
            let run = AssertUnwindSafe(|| span.in_scope(|| code(&own, &input)));
            catch_unwind(run).unwrap_or_else(|panic| Err(panicked(panic.as_ref())))
        });
        Self { thread, begun, ended: false, context }
    }
}

impl Future for OnThread {
    type Output = AttemptEnd;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<AttemptEnd> {
        let end = ready!(Pin::new(&mut self.thread).poll(cx));
        self.ended = true;
        Poll::Ready(end.unwrap_or_else(|error| {
            let message =
                format!("the runtime shuts down, and has no thread for `{}`: {error}", self.context.activity());
            let class = Class::Transient { no_effect: true, retry_after: None };
            Err(AttemptFailure::engine(FailureKind::Interrupted, class, message))
        }))
    }
}

/// One that waits for a thread never begins; one that has begun is told to stop, and left alone.
impl Drop for OnThread {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        self.thread.abort();
        self.context.mute();
        self.context.stop();
        if self.begun.load(Ordering::Acquire) {
            let (activity, run) = (self.context.activity(), self.context.run_id());
            tracing::warn!(activity, %run, "a blocking attempt is over for the engine; its thread goes on until it returns");
        }
    }
}
