//! Dropped branches: a failed nested saga each. What they did is undone at once, while the
//! workflow goes on; no run is final before.

use std::collections::{BTreeMap, BTreeSet};

use saga_store::wire::{OpId, UndoStep};

use super::undo::{UndoLog, Undoable};
use super::{Machine, Phase, TaskKey};
use crate::context::Arrival;
use crate::seldom::Empty;

/// What dropped branches did and what is not undone yet, each by itself, by the place of the branch.
/// None of them is empty.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    logs: BTreeMap<OpId, UndoLog>,
    /// Those in which something may begin that could not before.
    changed: BTreeSet<OpId>,
    /// Where all that they have was scheduled.
    schedules: BTreeSet<u64>,
}

impl Empty for Orphans {
    fn empty() -> &'static Self {
        static EMPTY: Orphans = Orphans { logs: BTreeMap::new(), changed: BTreeSet::new(), schedules: BTreeSet::new() };
        &EMPTY
    }
}

impl Orphans {
    pub(super) fn is_empty(&self) -> bool {
        self.logs.is_empty()
    }

    fn add(&mut self, scope: &OpId, log: UndoLog) {
        if !log.is_empty() {
            self.schedules.extend(log.schedules());
            self.changed.insert(scope.clone());
            self.logs.insert(scope.clone(), log);
        }
    }

    /// The dropped branch that has this step.
    fn branch_of(&self, op: &OpId) -> Option<OpId> {
        if self.logs.is_empty() {
            return None;
        }
        let around = (0..=op.path().len()).rev().map(|depth| OpId::from(&op.path()[..depth]));
        around.into_iter().find(|scope| self.logs.get(scope).is_some_and(|log| log.get(op).is_some()))
    }

    fn get(&self, op: &OpId) -> Option<&Undoable> {
        self.logs.get(&self.branch_of(op)?)?.get(op)
    }

    fn get_mut(&mut self, op: &OpId) -> Option<&mut Undoable> {
        let scope = self.branch_of(op)?;
        self.logs.get_mut(&scope)?.get_mut(op)
    }

    pub(super) fn schedule_of(&self, op: &OpId) -> Option<u64> {
        self.logs.get(&self.branch_of(op)?)?.schedule_of(op)
    }

    /// Where the last step of all was scheduled.
    pub(super) fn last_schedule(&self) -> Option<u64> {
        self.schedules.last().copied()
    }

    /// The undos of which an attempt is under way.
    pub(super) fn running(&self) -> impl Iterator<Item = OpId> + '_ {
        self.logs.values().flat_map(UndoLog::running)
    }

    fn change(&mut self, op: &OpId, change: impl FnOnce(&mut UndoLog)) {
        let Some(scope) = self.branch_of(op) else { return };
        if let Some(log) = self.logs.get_mut(&scope) {
            change(log);
            if log.is_empty() {
                self.logs.remove(&scope);
            } else {
                self.changed.insert(scope);
            }
        }
    }

    fn ended(&mut self, position: u64, op: &OpId, call: Option<&UndoStep>) {
        self.change(op, |log| log.ended(position, op, call));
    }

    fn remove(&mut self, op: &OpId) {
        if let Some(schedule) = self.schedule_of(op) {
            self.schedules.remove(&schedule);
            self.change(op, |log| log.remove(op));
        }
    }

    fn set_begun(&mut self, op: &OpId) {
        self.change(op, |log| log.set_begun(op));
    }

    pub(super) fn anew(&mut self, op: &OpId) {
        self.change(op, |log| log.anew(op));
    }

    /// Passed within a branch, or in what is around: see [`UndoLog::pass_pivot`].
    pub(super) fn pass_pivot(&mut self, position: u64, op: &OpId) {
        if self.logs.is_empty() {
            return;
        }
        let around = self.logs.iter_mut().filter(|(scope, _)| op.is_within(scope));
        for (_, log) in around {
            log.pass_pivot(position, op);
        }
        self.changed.extend(self.logs.keys().cloned());
        self.logs.retain(|_, log| !log.is_empty());
        self.schedules = self.logs.values().flat_map(UndoLog::schedules).collect();
    }

    /// Whether what was done in this scope is still being undone.
    fn has_within(&self, scope: &OpId) -> bool {
        self.logs.range(scope..).next().is_some_and(|(branch, _)| branch.is_within(scope))
    }

    /// Marks the undos that may start now as begun, and names them.
    fn begin(&mut self) -> Vec<OpId> {
        let changed = std::mem::take(&mut self.changed);
        changed.iter().filter_map(|scope| Some(self.logs.get_mut(scope)?.begin(None))).flatten().collect()
    }
}

impl Machine {
    /// A branch was dropped: its open steps are sorted, what it did is undone. Every step whose
    /// schedule was durable before counts as attempted: a replay knows no better, and what happens
    /// next must not depend on who looks.
    pub(super) fn drop_branch(&mut self, scope: &OpId) {
        self.timers.drop_within(scope);
        for op in self.steps.ops_within(scope) {
            self.sort_open_step(op, false);
        }
        let unsettled = self.unsettled.range(scope..).map(|(op, _)| op).take_while(|op| op.is_within(scope));
        for op in unsettled.cloned().collect::<Vec<_>>() {
            if let Some(step) = self.unsettled.remove(&op) {
                self.settle(op, step.for_settling(true));
            }
        }
        self.dropped = true;
        self.end_children(scope);
        let log = self.undo.split_off(scope);
        self.orphans.add(scope, log);
        self.advance_orphans();
    }

    /// A step that nobody waits for any more: one that did nothing is forgotten, one that may have
    /// done something is undone, one whose undo needs its output is settled first.
    /// `exactly` if this worker itself has scheduled it and knows whether it was attempted.
    pub(super) fn sort_open_step(&mut self, op: OpId, exactly: bool) {
        let needs_output = self.undoable(&op).map(|item| item.call.is_none());
        let Some(step) = self.steps.get_mut(&op) else { return };
        if step.errand.is_some() {
            return self.recall_errand(&op);
        }
        let (running, deferred) = (step.is_running(), step.is_deferred());
        let attempted = if exactly { running || deferred || step.unknown } else { step.record != self.record };
        let touched = !step.atomic && attempted;
        step.deadline = None;
        let key = TaskKey { op, undo: false };
        let waits = self.timers.has_retry(&key);
        self.ready.remove(&key);
        if needs_output == Some(true) && touched {
            step.unknown = true;
            self.steps.set_orphan(&key.op);
            self.dropped = true;
            if running {
                self.warn_attempt(key);
            } else if !waits && !deferred {
                self.attempt_again(key);
            }
            return;
        }
        if needs_output.is_some() && !touched {
            self.undo_done(&key.op);
        }
        self.steps.remove(&key.op);
        self.forget_progress(&key.op, false);
        self.timers.remove_retry(&key);
        if running {
            self.stop_attempt(key);
        }
    }

    /// Begins the undos of dropped branches that may start now; ends the run if it waited for the
    /// last of them.
    pub(super) fn advance_orphans(&mut self) {
        if !matches!(self.phase, Phase::Forward) || self.unconfirmed.is_some() || self.control.suspended {
            return;
        }
        if self.stopping.is_empty() {
            self.begin_orphans();
        }
        self.tell_undone();
        if !self.has_orphans() {
            self.dropped = false;
            if let Some(ending) = self.closing.take() {
                self.apply_ending(*ending);
            }
        }
    }

    /// Lets those go on who wait until a branch is undone. In a replay that is when the journal has
    /// confirmed all that the code decided before.
    pub(super) fn tell_undone(&mut self) {
        while !self.deciding
            && !self.control.suspended
            && self.unconfirmed.as_ref().is_none_or(std::collections::VecDeque::is_empty)
        {
            let Some(context) = &mut self.context else { return };
            let undone = context.undoing().find(|scope| {
                let settling =
                    || self.steps.some_orphaned() && self.steps.within(scope).any(|(_, step)| step.is_orphan());
                !self.orphans.has_within(scope) && !settling()
            });
            let Some(scope) = undone.cloned() else { return };
            context.arrive(&scope, Arrival::Fired);
            self.poll_body();
        }
    }

    pub(super) fn begin_orphans(&mut self) {
        if self.orphans.is_empty() {
            return;
        }
        for op in self.orphans.begin() {
            self.ready.push(TaskKey { op, undo: true });
        }
    }

    /// Whether what dropped branches did is still being undone.
    pub(super) fn has_orphans(&self) -> bool {
        self.dropped && (!self.orphans.is_empty() || self.steps.some_orphaned()) || self.has_ending_children()
    }

    /// A step's place in the undo log, its own or that of dropped branches.
    pub(super) fn undoable(&self, op: &OpId) -> Option<&Undoable> {
        self.undo.get(op).or_else(|| self.orphans.get(op))
    }

    pub(super) fn undoable_mut(&mut self, op: &OpId) -> Option<&mut Undoable> {
        match self.undo.get(op) {
            Some(_) => self.undo.get_mut(op),
            None => self.orphans.get_mut(op),
        }
    }

    /// A step has ended at this position of the journal.
    pub(super) fn undo_known(&mut self, position: u64, op: &OpId, call: Option<&saga_store::wire::UndoStep>) {
        if self.pass_pivot_of(op) {
            return;
        }
        if !self.undo.is_empty() {
            self.undo.ended(position, op, call);
        }
        if !self.orphans.is_empty() {
            self.orphans.ended(position, op, call);
        }
    }

    /// The undo of a step has had its turn.
    pub(super) fn undo_begun(&mut self, op: &OpId) {
        self.undo.set_begun(op);
        if !self.orphans.is_empty() {
            self.orphans.set_begun(op);
        }
    }

    /// There is nothing to undo of a step, or no longer.
    pub(super) fn undo_done(&mut self, op: &OpId) {
        self.forget_progress(op, true);
        if !self.undo.is_empty() {
            self.undo.remove(op);
        }
        if !self.orphans.is_empty() {
            self.orphans.remove(op);
        }
    }
}
