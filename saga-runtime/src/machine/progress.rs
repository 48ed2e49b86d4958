//! What attempts say of how far they are: the next attempt of the same task is told.

use std::collections::BTreeMap;

use saga_store::wire::{Entry, OpId, Payload, Progressed};

use super::{Machine, TaskKey};

/// The last word of each task that has not ended.
pub(super) type Progress = BTreeMap<TaskKey, Word>;

#[derive(Debug)]
pub(super) struct Word {
    attempt: u32,
    progress: Payload,
    recorded: bool,
}

impl Machine {
    /// An attempt says how far it is. It is recorded at once if it is still under way, and with its
    /// failure if it has just ended.
    pub(crate) fn progressed(&mut self, key: &TaskKey, attempt: u32, progress: Payload, at_once: bool) {
        let under_way = match (key.undo, self.undoable(&key.op), self.steps.get(&key.op)) {
            (true, Some(item), _) => item.running && item.attempts + 1 == attempt,
            (false, _, Some(step)) => step.is_running() && step.attempts + 1 == attempt,
            _ => false,
        };
        if !under_way || self.has_ended() {
            return;
        }
        self.progress.insert(key.clone(), Word { attempt, progress, recorded: false });
        if at_once {
            self.record_progress(key);
            self.must_commit = true;
        }
    }

    /// Records the last word of a task, if it is not yet.
    pub(super) fn record_progress(&mut self, key: &TaskKey) {
        let Some(word) = self.progress.get_mut(key).filter(|word| !word.recorded) else { return };
        word.recorded = true;
        let (attempt, progress) = (word.attempt, word.progress.clone());
        self.position += 1;
        self.entries.push(Entry::Progressed(Progressed { op: key.op.clone(), attempt, progress, undo: key.undo }));
    }

    pub(super) fn replay_progress(&mut self, progressed: &Progressed) {
        let Progressed { op, attempt, progress, undo } = progressed.clone();
        self.progress.insert(TaskKey { op, undo }, Word { attempt, progress, recorded: true });
    }

    /// What the last attempt that said anything said.
    pub(super) fn progress_of(&self, key: &TaskKey) -> Option<Payload> {
        self.progress.get(key).map(|word| word.progress.clone())
    }

    /// Nobody will attempt it again.
    pub(super) fn forget_progress(&mut self, op: &OpId, undo: bool) {
        if !self.progress.is_empty() {
            self.progress.remove(&TaskKey { op: op.clone(), undo });
        }
    }
}
