//! The place that the worker in this process keeps for a run that is being started. It goes with the
//! order, however that travels, until the run is there or is known not to come.

use std::sync::Arc;

use saga_store::{ExecutionId, Incarnation, NewRun};

use super::LocalWorker;

pub(super) struct Seat {
    worker: Arc<dyn LocalWorker>,
    execution: ExecutionId,
    of: Incarnation,
    /// Whether the worker has it back.
    returned: bool,
}

impl Seat {
    pub(super) fn take(worker: &Arc<dyn LocalWorker>, new: &NewRun) -> Option<Self> {
        let of = worker.claims_for(&new.workflow, new.version, new.execution)?;
        Some(Self { worker: Arc::clone(worker), execution: new.execution, of, returned: false })
    }

    /// The worker's life that the place is of.
    pub(super) fn of(&self) -> Incarnation {
        self.of
    }

    /// The order got no answer: the worker finds out what became of it, and has the place for that.
    pub(super) fn resolve(mut self, new: NewRun) {
        self.returned = true;
        self.worker.resolve_start(new);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if !self.returned {
            self.worker.let_go(self.execution);
        }
    }
}
