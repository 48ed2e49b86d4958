//! One attempt of an activity, on its way through the layers.

use std::sync::Arc;

use saga_store::{ExecutionId, RunId};
use tokio::sync::watch;

use crate::activity::{ActivityContext, AttemptEnd, ContextParts};
use crate::clock::Clock;
use crate::layer::{Attempt, AttemptStack, Stage};
use crate::machine::AttemptStart;
use crate::state::States;

/// What attempts of all runs share.
pub(crate) struct AttemptEnvironment {
    pub(crate) states: Arc<States>,
    pub(crate) layers: AttemptStack,
    pub(crate) clock: Arc<dyn Clock>,
    /// Who runs the code instead, in a test.
    pub(crate) stage: Option<Arc<dyn Stage>>,
}

/// Which run an attempt belongs to.
pub(crate) struct AttemptRun {
    pub(crate) id: RunId,
    pub(crate) execution: ExecutionId,
    pub(crate) workflow: Arc<str>,
    pub(crate) cancelled: watch::Receiver<bool>,
}

impl AttemptEnvironment {
    /// What the activity may ask about this attempt.
    pub(crate) fn context(&self, run: &AttemptRun, start: &AttemptStart) -> ActivityContext {
        ActivityContext::new(ContextParts {
            activity: start.definition.name,
            run: run.id.clone(),
            execution: run.execution,
            op: start.key.op.clone(),
            attempt: start.attempt,
            undo: start.key.undo,
            states: Arc::clone(&self.states),
            cancelled: (!start.key.undo).then(|| run.cancelled.clone()),
        })
    }

    /// Makes an attempt.
    pub(crate) async fn attempt(&self, run: &AttemptRun, start: AttemptStart) -> AttemptEnd {
        let attempt = Attempt {
            context: self.context(run, &start),
            definition: start.definition,
            input: start.input,
            timeout: start.timeout,
            default_timeout: start.default_timeout,
            step: start.key.op,
            workflow: Arc::clone(&run.workflow),
            clock: Arc::clone(&self.clock),
        };
        self.layers.attempt(attempt).await
    }
}
