//! Attempts that are no longer wanted and have not stopped yet. Nothing is undone before they have,
//! and no run ends as failed or cancelled: what they still do would come after its undo.

use std::collections::BTreeSet;

use saga_store::message::CancelRequest;
use saga_store::wire::Conclusion;

use super::{Machine, TaskKey};

/// What is being stopped, and what waits for that.
#[derive(Debug, Default)]
pub(super) struct Stopping {
    attempts: BTreeSet<TaskKey>,
    /// Of those, the ones that are then to be attempted again.
    again: BTreeSet<TaskKey>,
    /// Attempts that somebody still waits for and that shall hurry.
    warned: Vec<TaskKey>,
    /// This run makes attempts for another one, and ends when they have stopped.
    order: Option<CancelRequest>,
}

impl Stopping {
    pub(super) fn is_empty(&self) -> bool {
        self.attempts.is_empty()
    }
}

impl Machine {
    /// Attempts to stop. [`Machine::stopped`] is to be said of each.
    pub(crate) fn take_aborts(&mut self) -> Vec<TaskKey> {
        std::mem::take(&mut self.aborts)
    }

    /// Attempts to be told that their run shall stop, and whose end is still waited for.
    pub(crate) fn take_warned(&mut self) -> Vec<TaskKey> {
        std::mem::take(&mut self.stopping.warned)
    }

    pub(super) fn stop_attempt(&mut self, key: TaskKey) {
        self.stopping.attempts.insert(key.clone());
        self.aborts.push(key);
    }

    pub(super) fn warn_attempt(&mut self, key: TaskKey) {
        self.stopping.warned.push(key);
    }

    /// Lets a task be attempted, once its last attempt has stopped.
    pub(super) fn attempt_again(&mut self, key: TaskKey) {
        if self.stopping.attempts.contains(&key) {
            self.stopping.again.insert(key);
        } else {
            self.ready.push(key);
        }
    }

    /// An attempt that was not wanted any more has stopped.
    pub(crate) fn stopped(&mut self, key: &TaskKey) {
        if !self.stopping.attempts.remove(key) || self.has_ended() {
            return;
        }
        if self.stopping.again.remove(key) && self.steps.contains_key(&key.op) {
            self.ready.push(key.clone());
        }
        self.end_order();
        self.advance_undo();
        self.advance_orphans();
    }

    /// Ends a run that makes attempts for another one and was asked to stop.
    pub(super) fn stop_order(&mut self, request: CancelRequest) {
        if self.stopping.order.is_some() {
            return;
        }
        self.stopping.order = Some(request);
        let running = self.steps.iter().filter(|(_, step)| step.is_running());
        let running: Vec<_> = running.map(|(op, _)| op.clone()).collect();
        for op in running {
            self.stop_attempt(TaskKey { op, undo: false });
        }
        self.end_order();
    }

    pub(super) fn end_order(&mut self) {
        if self.unconfirmed.is_some() || !self.stopping.is_empty() || self.has_ended() || self.is_undoing() {
            return;
        }
        if let Some(request) = self.stopping.order.take() {
            self.drop_body();
            self.conclude(Conclusion::Terminated(request));
        }
    }
}
