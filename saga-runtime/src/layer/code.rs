//! The innermost service: the activity's code, its panics caught.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use saga_store::wire::{FailureKind, Payload};
use tower_service::Service;

use super::Attempt;
use super::thread::OnThread;
use crate::activity::{ActivityContext, ActivityDefinition, AttemptEnd, AttemptFailure, AttemptFuture, Code, panicked};
use crate::classify::Class;
use crate::workflow::WorkflowDefinition;

/// Runs the code, or has it run by whoever stands in for it.
#[derive(Clone)]
pub(crate) struct RunCode {
    pub(super) stage: Option<Arc<dyn Stage>>,
}

/// Makes an attempt in place of the engine.
pub(crate) trait Stage: Send + Sync {
    /// A run of this workflow begins.
    fn began(&self, definition: &'static WorkflowDefinition);
    /// The workflow of this name that has begun last: tests may declare several.
    fn workflow(&self, name: &str, version: u32) -> Option<&'static WorkflowDefinition>;
    /// The attempt.
    fn attempt(
        &self,
        definition: &'static ActivityDefinition,
        context: ActivityContext,
        input: Payload,
    ) -> AttemptFuture;
}

impl Service<Attempt> for RunCode {
    type Response = Payload;
    type Error = AttemptFailure;
    type Future = CodeFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), AttemptFailure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, attempt: Attempt) -> CodeFuture {
        let Attempt { context, definition, input, .. } = attempt;
        let called = catch_unwind(AssertUnwindSafe(|| match (&self.stage, definition.code) {
            (Some(stage), _) => stage.attempt(definition, context, input),
            (None, Code::Async(code)) => code(context, input),
            (None, Code::Blocking(code)) => Box::pin(OnThread::start(code, context, input)),
            (None, Code::Transaction { .. } | Code::AsyncTransaction { .. }) => {
                let name = definition.name;
                let message = format!("`{name}` writes through the store's transaction, which this store has not");
                let failure = AttemptFailure::engine(FailureKind::Unregistered, Class::Permanent, message);
                Box::pin(std::future::ready(Err(failure)))
            }
        }));
        CodeFuture(called.map_err(|panic| Some(panicked(panic.as_ref()))))
    }
}

/// The code on its way, or why it has none.
pub(crate) struct CodeFuture(Result<AttemptFuture, Option<AttemptFailure>>);

impl Future for CodeFuture {
    type Output = AttemptEnd;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<AttemptEnd> {
        match &mut self.0 {
            Ok(code) => match catch_unwind(AssertUnwindSafe(|| code.as_mut().poll(cx))) {
                Ok(poll) => poll,
                Err(panic) => {
                    // A future that panicked is not polled again.
                    self.0 = Err(None);
                    Poll::Ready(Err(panicked(panic.as_ref())))
                }
            },
            Err(failure) => match failure.take() {
                Some(failure) => Poll::Ready(Err(failure)),
                None => Poll::Pending,
            },
        }
    }
}
