//! Dropped branches: a failed nested saga each. What they did is undone at once, while the
//! workflow goes on; no run is final before.

use saga_store::wire::OpId;

use super::undo::{UndoLog, Undoable};
use super::{Machine, Phase, Step, StepState, TaskKey, TimerKey};
use crate::context::Arrival;

/// What one dropped branch did.
#[derive(Debug)]
pub(super) struct Orphans {
    pub(super) scope: OpId,
    pub(super) log: UndoLog,
}

impl Machine {
    /// A branch was dropped: its open steps are sorted, what it did is undone. Every step whose
    /// schedule was durable before counts as attempted: a replay knows no better, and what happens
    /// next must not depend on who looks.
    pub(super) fn drop_branch(&mut self, scope: &OpId) {
        self.timers.retain(|(_, timer)| match timer {
            TimerKey::Sleep(op) | TimerKey::Deadline(op) => !op.is_within(scope),
            TimerKey::Retry(_) | TimerKey::RunDeadline | TimerKey::Begin => true,
        });
        let open: Vec<OpId> = self.steps.keys().filter(|op| op.is_within(scope)).cloned().collect();
        for op in open {
            self.sort_open_step(op, false);
        }
        let unsettled: Vec<OpId> = self.unsettled.keys().filter(|op| op.is_within(scope)).cloned().collect();
        for op in unsettled {
            if let Some(mut step) = self.unsettled.remove(&op) {
                (step.state, step.deadline, step.orphan) = (StepState::Idle, None, true);
                self.settle(op, step);
            }
        }
        self.dropped = true;
        self.end_children(scope);
        let log = self.undo.split_off(scope);
        self.orphans.push(Orphans { scope: scope.clone(), log });
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
        let running = step.state == StepState::Running;
        let deferred = step.state == StepState::Deferred;
        let attempted = if exactly { running || deferred || step.unknown } else { step.record != self.record };
        let touched = !step.atomic && attempted;
        step.deadline = None;
        let key = TaskKey { op, undo: false };
        let waits = self.timers.iter().any(|(_, timer)| *timer == TimerKey::Retry(key.clone()));
        self.ready.retain(|ready| *ready != key);
        if needs_output == Some(true) && touched {
            (step.unknown, step.orphan) = (true, true);
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
        self.timers.retain(|(_, timer)| *timer != TimerKey::Retry(key.clone()));
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
                self.apply_ending(ending);
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
                let open = |orphans: &Orphans| orphans.scope.is_within(scope) && !orphans.log.is_empty();
                let settling = |(op, step): (&OpId, &Step)| step.orphan && op.is_within(scope);
                !self.orphans.iter().any(open) && !self.steps.iter().any(settling)
            });
            let Some(scope) = undone.cloned() else { return };
            context.arrive(&scope, Arrival::Fired);
            self.poll_body();
        }
    }

    pub(super) fn begin_orphans(&mut self) {
        self.orphans.retain(|orphans| !orphans.log.is_empty());
        let begun: Vec<OpId> = self.orphans.iter_mut().flat_map(|orphans| orphans.log.begin(None)).collect();
        self.ready.extend(begun.into_iter().map(|op| TaskKey { op, undo: true }));
    }

    /// Whether what dropped branches did is still being undone.
    pub(super) fn has_orphans(&self) -> bool {
        let undoing = || self.orphans.iter().any(|orphans| !orphans.log.is_empty());
        self.dropped && (undoing() || self.steps.values().any(|step| step.orphan)) || self.has_ending_children()
    }

    /// A step's place in the undo log, its own or that of dropped branches.
    pub(super) fn undoable(&self, op: &OpId) -> Option<&Undoable> {
        self.undo.get(op).or_else(|| self.orphans.iter().find_map(|orphans| orphans.log.get(op)))
    }

    pub(super) fn undoable_mut(&mut self, op: &OpId) -> Option<&mut Undoable> {
        match self.undo.get(op) {
            Some(_) => self.undo.get_mut(op),
            None => self.orphans.iter_mut().find_map(|orphans| orphans.log.get_mut(op)),
        }
    }

    /// A step has ended at this position of the journal.
    pub(super) fn undo_known(&mut self, position: u64, op: &OpId, call: Option<&saga_store::wire::UndoStep>) {
        if self.pass_pivot_of(op) {
            return;
        }
        self.undo.ended(position, op, call);
        self.orphans.iter_mut().for_each(|orphans| orphans.log.ended(position, op, call));
    }

    /// There is nothing to undo of a step, or no longer.
    pub(super) fn undo_done(&mut self, op: &OpId) {
        self.forget_progress(op, true);
        self.undo.remove(op);
        self.orphans.iter_mut().for_each(|orphans| orphans.log.remove(op));
    }
}
