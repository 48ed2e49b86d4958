//! The innermost service: the activity's code, its panics caught.

use std::future::ready;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use saga_store::wire::{FailureKind, Payload};

use super::Attempt;
use super::attempting::Attempting;
use super::thread::OnThread;
use crate::activity::{ActivityContext, ActivityDefinition, AttemptFailure, AttemptFuture, Code, caught, panicked};
use crate::classify::Class;
use crate::workflow::WorkflowDefinition;

/// Runs the code, or has it run by whoever stands in for it.
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

impl Attempting for RunCode {
    fn attempt(&self, attempt: Attempt) -> AttemptFuture {
        caught(self.attempt_bare(attempt))
    }

    fn attempt_bare(&self, attempt: Attempt) -> AttemptFuture {
        let Attempt { context, definition, input, .. } = attempt;
        let called = catch_unwind(AssertUnwindSafe(|| match (&self.stage, definition.code) {
            (Some(stage), _) => stage.attempt(definition, context, input),
            (None, Code::Async(code)) => code(context, input),
            (None, Code::Blocking(code)) => Box::pin(OnThread::start(code, context, input)),
            (None, Code::Transaction { .. } | Code::AsyncTransaction { .. }) => {
                let name = definition.name;
                let message = format!("`{name}` writes through the store's transaction, which this store has not");
                let failure = AttemptFailure::engine(FailureKind::Unregistered, Class::Permanent, message);
                Box::pin(ready(Err(failure)))
            }
        }));
        called.unwrap_or_else(|panic| Box::pin(ready(Err(panicked(panic.as_ref())))))
    }

    fn attempt_caught(&self, attempt: Attempt) -> AttemptFuture {
        self.attempt(attempt)
    }
}
