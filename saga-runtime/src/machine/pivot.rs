//! Points of no return: what was done before one is not undone any more, and the run is not
//! cancelled any more. While nobody knows whether one was passed, nothing before it is undone, and
//! a cancel waits for the answer.

use saga_store::message::CancelRequest;
use saga_store::wire::{OpId, UndoCause};

use super::{Machine, Phase, Step, StepState};

/// How far a run is with its points of no return.
#[derive(Debug, Default)]
pub(super) struct Pivots {
    /// One is passed.
    passed: bool,
    /// A cancel that came while the outcome of one was unknown.
    cancel: Option<Box<CancelRequest>>,
}

impl Step {
    /// Whether it is a point of no return of which nobody knows whether it is passed.
    pub(super) fn is_open_pivot(&self) -> bool {
        self.pivot && (self.unknown || self.errand.is_some() || (self.state() != StepState::Idle && !self.atomic))
    }
}

impl Machine {
    /// The workflow has come to a point of no return: that of a step just scheduled, or its own.
    pub(super) fn pivot_decided(&mut self, position: u64, op: &OpId) {
        match self.steps.get_mut(op) {
            Some(step) => {
                step.pivot = true;
                self.undo.remove(op);
                self.undo.pivot_scheduled(position, op);
            }
            None => self.pass_pivot(position, op),
        }
    }

    /// A step has succeeded: whether it was a point of no return, which is now passed.
    pub(super) fn pass_pivot_of(&mut self, op: &OpId) -> bool {
        if !self.undoable(op).is_some_and(|item| item.pivot) {
            return false;
        }
        if let Some(position) = self.undo.schedule_of(op).or_else(|| self.orphans.schedule_of(op)) {
            self.pass_pivot(position, op);
        }
        true
    }

    fn pass_pivot(&mut self, position: u64, op: &OpId) {
        self.pivots = Pivots { passed: true, cancel: None };
        self.undo.pass_pivot(position, op);
        self.orphans.pass_pivot(position, op);
        // Nobody has to know any more what became of a step that is not undone.
        let unsettled = std::mem::take(&mut self.unsettled);
        self.unsettled = unsettled.into_iter().filter(|(op, _)| self.undoable(op).is_some()).collect();
    }

    /// Cancels the run, unless it is past a point of no return; waits while it may be. Whether the
    /// undo begins.
    pub(super) fn cancel_unless_pivot(&mut self, request: CancelRequest) -> bool {
        if self.order.is_some() {
            return self.cancel_order(request);
        }
        let open = self.steps.values().any(Step::is_open_pivot);
        if !open && !self.pivots.passed {
            self.begin_undo(UndoCause::Cancelled(request));
            return true;
        }
        self.cancel_replayed(request);
        false
    }

    /// The journal tells of a cancel: unless it goes on with the undo, the cancel waits.
    pub(super) fn cancel_replayed(&mut self, request: CancelRequest) {
        if let Some(order) = &self.order {
            return if order.settle { self.settle_order() } else { self.stop_order(request) };
        }
        if !self.pivots.passed {
            self.pivots.cancel.get_or_insert_with(|| Box::new(request));
        }
    }

    /// Whether a cancel has waited, and no point of no return was passed.
    pub(super) fn cancel_may_happen(&self) -> bool {
        self.pivots.cancel.is_some()
            && matches!(self.phase, Phase::Forward)
            && self.unconfirmed.is_none()
            && !self.control.suspended
            && !self.steps.values().any(Step::is_open_pivot)
    }

    /// Lets such a cancel happen. Whether it does.
    pub(super) fn cancel_at_last(&mut self) -> bool {
        if !self.cancel_may_happen() {
            return false;
        }
        if let Some(request) = self.pivots.cancel.take() {
            self.begin_undo(UndoCause::Cancelled(*request));
        }
        true
    }
}
