//! What a client in the same process asks of the engine.

use std::sync::Arc;

use saga_store::wire::Record;
use saga_store::{Delivery, ExecutionId, Incarnation, LoadedRun, Message, NewRun, StoreError};

use super::intake;
use super::membership::Tenure;
use super::resolve;
use super::shared::Shared;
use super::wake;
use crate::client::LocalWorker;
use crate::erased::BoxFuture;
use crate::spawn::Spawner;
use crate::workflow::WorkflowDefinition;

impl LocalWorker for Arc<Shared> {
    fn claims_for(&self, workflow: &str, version: u32, execution: ExecutionId) -> Option<Incarnation> {
        let serves = self.serves(workflow, version);
        let membership = self.membership();
        let takes = serves && self.takes_runs(&membership);
        (takes && self.live.keep_place(execution, || self.queues.keep(workflow))).then(|| membership.incarnation())
    }

    fn let_go(&self, execution: ExecutionId) {
        self.live.let_go(execution);
    }

    fn launch(&self, run: LoadedRun, first: Record, definition: &'static WorkflowDefinition, claimed_for: Incarnation) {
        let membership = self.membership();
        // What a life that is over has claimed is free in the store.
        if membership.incarnation() == claimed_for {
            if let Some(stage) = &self.environment.stage {
                stage.began(definition);
            }
            intake::launch(self, run, Some(first), Some(definition), Tenure::own(membership));
        }
    }

    fn resolve_start(&self, new: NewRun) {
        resolve::take_in(self, new);
    }

    fn drives(&self, execution: ExecutionId) -> bool {
        self.live.contains(execution)
    }

    fn driver(&self, execution: ExecutionId) -> Option<Box<dyn FnOnce() + Send>> {
        let mailbox = self.live.get(execution)?;
        Some(Box::new(move || mailbox.lost()))
    }

    fn deliver<'a>(
        &'a self,
        spawner: &'a Spawner,
        messages: Vec<Message>,
    ) -> BoxFuture<'a, Result<Vec<Delivery>, StoreError>> {
        Box::pin(wake::deliver(self, spawner, messages))
    }
}
