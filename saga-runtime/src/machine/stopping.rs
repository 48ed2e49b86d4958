//! Attempts that are no longer wanted and have not stopped yet. Nothing is undone before they have,
//! and no run ends as failed or cancelled: what they still do would come after its undo.

use std::collections::BTreeSet;

use saga_store::message::CancelRequest;
use saga_store::wire::Conclusion;

use super::{Machine, TaskKey};

/// What is being stopped, and what waits for that. Most runs never have any of it.
#[derive(Debug, Default)]
pub(super) struct Stopping(Option<Box<Parts>>);

#[derive(Debug, Default)]
struct Parts {
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
        self.0.as_ref().is_none_or(|parts| parts.attempts.is_empty())
    }

    fn parts(&mut self) -> &mut Parts {
        self.0.get_or_insert_default()
    }
}

impl Machine {
    /// Attempts to stop. [`Machine::stopped`] is to be said of each.
    pub(crate) fn take_aborts(&mut self) -> Vec<TaskKey> {
        std::mem::take(&mut self.aborts)
    }

    /// Attempts to be told that their run shall stop, and whose end is still waited for.
    pub(crate) fn take_warned(&mut self) -> Vec<TaskKey> {
        self.stopping.0.as_mut().map(|parts| std::mem::take(&mut parts.warned)).unwrap_or_default()
    }

    pub(super) fn stop_attempt(&mut self, key: TaskKey) {
        self.stopping.parts().attempts.insert(key.clone());
        self.aborts.push(key);
    }

    pub(super) fn warn_attempt(&mut self, key: TaskKey) {
        self.stopping.parts().warned.push(key);
    }

    /// Lets a task be attempted, once its last attempt has stopped.
    pub(super) fn attempt_again(&mut self, key: TaskKey) {
        match &mut self.stopping.0 {
            Some(parts) if parts.attempts.contains(&key) => drop(parts.again.insert(key)),
            _ => self.ready.push(key),
        }
    }

    /// An attempt that was not wanted any more has stopped.
    pub(crate) fn stopped(&mut self, key: &TaskKey) {
        let Some(parts) = self.stopping.0.as_mut().filter(|parts| parts.attempts.contains(key)) else { return };
        parts.attempts.remove(key);
        let again = parts.again.remove(key);
        if self.has_ended() {
            return;
        }
        if again && self.steps.contains_key(&key.op) {
            self.ready.push(key.clone());
        }
        self.end_order();
        self.advance_undo();
        self.advance_orphans();
    }

    /// Ends a run that makes attempts for another one and was asked to stop.
    pub(super) fn stop_order(&mut self, request: CancelRequest) {
        let order = &mut self.stopping.parts().order;
        if order.is_some() {
            return;
        }
        *order = Some(request);
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
        if let Some(request) = self.stopping.0.as_mut().and_then(|parts| parts.order.take()) {
            self.drop_body();
            self.conclude(Conclusion::Terminated(request));
        }
    }
}
