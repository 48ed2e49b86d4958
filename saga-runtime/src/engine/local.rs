//! What a client in the same process asks of the engine.

use std::sync::Arc;

use saga_store::{ExecutionId, Incarnation, LoadedRun, NewRun};

use super::intake;
use super::shared::Shared;
use crate::client::LocalWorker;
use crate::workflow::WorkflowDefinition;

impl LocalWorker for Arc<Shared> {
    fn claims_for(&self, workflow: &str, version: u32) -> Option<Incarnation> {
        let serves = self.served.iter().any(|(name, number)| name == workflow && *number == version);
        (serves && !self.is_stopping() && self.live.free() > 0).then_some(self.incarnation)
    }

    fn launch(&self, run: LoadedRun, definition: &'static WorkflowDefinition) {
        intake::launch(self, run, Some(definition), false);
    }

    fn resolve_start(&self, new: NewRun) {
        tokio::spawn(intake::resolve_start(Arc::clone(self), new));
    }

    fn drives(&self, execution: ExecutionId) -> bool {
        self.live.contains(execution)
    }

    fn nudge(&self, execution: ExecutionId) {
        if let Some(mailbox) = self.live.get(execution) {
            mailbox.inbox();
        }
    }
}
