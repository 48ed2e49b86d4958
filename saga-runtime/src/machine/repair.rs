//! What an operator did about a run that could not go on by itself.

use saga_store::wire::{OpId, Payload, Repair, StepFailed};
use saga_store::{ExecutionId, Timestamp};

use super::replay::Replayed;
use super::{Machine, Phase, TaskKey};

impl Machine {
    /// What a run that was dead had under way elsewhere: nobody could tell it meanwhile what became of
    /// that.
    pub(crate) fn asks_after(&self) -> Vec<(OpId, ExecutionId)> {
        if !self.repaired || self.has_ended() {
            return Vec::new();
        }
        let sent = self.steps.iter().filter_map(|(op, step)| Some((op.clone(), step.errand.as_ref()?.execution())));
        self.children.executions().into_iter().chain(sent).collect()
    }

    /// The journal says that the run had ended.
    pub(super) fn replay_end(&mut self) {
        let from = std::mem::replace(&mut self.phase, Phase::Ended);
        self.replayed().ended_from = Some(from);
    }

    /// The journal says that an undo failed for good: it waits for an operator, unless undoing goes
    /// on without it.
    pub(super) fn replay_undo_failed(&mut self, failed: &StepFailed) {
        let key = TaskKey { op: failed.op.clone(), undo: true };
        self.timers.remove_retry(&key);
        if self.control.undo_continues {
            self.undo_done(&failed.op);
        } else if self.undoable(&failed.op).is_some() {
            self.undo_begun(&failed.op);
            self.replayed().failed_undos.push(failed.op.clone());
        }
    }

    /// The journal says what an operator did.
    pub(super) fn replay_repair(&mut self, repair: &Repair) {
        if let Some(phase) = self.replayed().ended_from.take() {
            self.phase = phase;
        }
        match repair {
            Repair::Retry => {
                for op in std::mem::take(&mut self.replayed().failed_undos) {
                    self.undo.anew(&op);
                    self.orphans.anew(&op);
                }
            }
            Repair::Skip(op) => {
                self.replayed().failed_undos.retain(|failed| failed != op);
                self.undo_done(op);
            }
            Repair::SetResult(op, output) => {
                self.replayed().given.insert(op.clone(), output.clone());
            }
            _ => {}
        }
    }

    pub(super) fn replayed(&mut self) -> &mut Replayed {
        self.replayed.get_or_insert_default()
    }

    /// The replay is over. Takes steps to have returned what an operator said, where the journal does not say
    /// it yet.
    pub(super) fn take_given(&mut self, now: Timestamp) {
        for (op, output) in self.replayed.take().map(|replayed| replayed.given).unwrap_or_default() {
            self.give(&op, output, now);
        }
    }

    fn give(&mut self, op: &OpId, output: Payload, now: Timestamp) {
        if !self.steps.contains_key(op) || self.has_ended() {
            return;
        }
        let key = TaskKey { op: op.clone(), undo: false };
        self.ready.remove(&key);
        self.timers.remove_retry(&key);
        match self.undo_of_output(op, &output) {
            Ok(undo) => self.step_ended(op, output, undo, now),
            Err(reason) => self.park(now, reason),
        }
    }
}
