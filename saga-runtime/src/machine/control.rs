//! What clients and operators ask of a run: to stop and undo, to stand still, to go on.

use saga_store::Timestamp;
use saga_store::message::{CancelRequest, EventMessage};
use saga_store::wire::{Claimed, Entry, RunTerms};

use super::planted::{Planted, is_planted};
use super::{Change, HELD, Machine, Phase, TimerKey};

/// What stands between a run and its going on.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, not a state")]
pub(super) struct Control {
    /// An operator stopped it: nothing is attempted, and the workflow is told of nothing.
    pub(super) suspended: bool,
    /// Undoing goes on after an undo that failed for good.
    pub(super) undo_continues: bool,
    /// When the run is cancelled if it has not ended.
    pub(super) deadline: Option<i64>,
    /// So many records after the first were copied from another execution.
    pub(super) copied: u64,
    /// It is another execution of a run that has been.
    pub(super) forked: bool,
    /// Its moment to begin has not come.
    early: bool,
    /// A cancel that came while it was suspended.
    cancel: Option<Box<CancelRequest>>,
}

impl Control {
    /// Whether the workflow is not to be told of anything now.
    pub(super) fn holds_back(&self) -> bool {
        self.suspended || self.early
    }
}

impl Machine {
    /// Whether an operator has stopped the run until it is resumed.
    pub(crate) fn is_suspended(&self) -> bool {
        self.control.suspended
    }

    /// What the start said beyond the input.
    pub(super) fn agree(&mut self, terms: Option<&RunTerms>) {
        let Some(terms) = terms else { return };
        self.control.undo_continues = terms.undo_continues.unwrap_or_default();
        self.control.forked = terms.forked.unwrap_or_default();
        self.control.copied = terms.copied.unwrap_or_default();
        self.control.deadline = terms.deadline;
        if let Some(begin) = terms.begin {
            self.control.early = true;
            self.timers.set(Timestamp::from_micros(begin), TimerKey::Begin);
        }
        if let Some(deadline) = terms.deadline {
            self.timers.set(Timestamp::from_micros(deadline), TimerKey::RunDeadline);
        }
    }

    pub(super) fn begin(&mut self, now: Timestamp) {
        self.open_turn(now);
        self.push(Entry::Begun);
        self.control.early = false;
        self.poll_body();
    }

    /// The time for the whole run is over: it is cancelled.
    pub(super) fn run_deadline_passed(&mut self, now: Timestamp) {
        let reason = Some("the run's deadline is over".to_owned());
        self.request_cancel(CancelRequest { reason }, now);
    }

    /// An event came that no type of its name can read: it is recorded, and nobody is told of it.
    pub(crate) fn refuse_event(&mut self, event: EventMessage, why: String, now: Timestamp) {
        if self.has_ended() {
            return;
        }
        self.open_turn(now);
        self.push(Entry::EventRefused(event, why));
    }

    /// Somebody asks for a cancel. While the run is suspended the request is kept.
    pub(super) fn request_cancel(&mut self, request: CancelRequest, now: Timestamp) {
        if !matches!(self.phase, Phase::Forward) {
            return;
        }
        self.open_turn(now);
        self.push(Entry::CancelRequested(request.clone()));
        if self.control.suspended {
            self.control.cancel = Some(Box::new(request));
        } else {
            self.cancel_unless_pivot(request);
        }
    }

    pub(super) fn suspend(&mut self, request: CancelRequest, now: Timestamp) {
        if self.control.suspended || self.has_ended() {
            return;
        }
        self.open_turn(now);
        self.push(Entry::Suspended(request));
        self.stand_still();
        self.change = Some(Change::Suspended);
    }

    /// Attempts wait for their record to be durable: what this very record schedules will not be
    /// attempted before the run is resumed.
    fn stand_still(&mut self) {
        self.control.suspended = true;
        let record = self.record;
        self.steps.values_mut().filter(|step| step.record == record).for_each(|step| step.record = HELD);
    }

    fn stand_no_longer(&mut self) {
        self.control.suspended = false;
        let record = self.record;
        self.steps.values_mut().filter(|step| step.record == HELD).for_each(|step| step.record = record);
    }

    pub(super) fn go_on(&mut self, request: CancelRequest, now: Timestamp) {
        if !self.control.suspended || self.has_ended() {
            return;
        }
        self.open_turn(now);
        self.push(Entry::Resumed(request));
        self.stand_no_longer();
        self.change = Some(Change::Resumed);
        if self.cancel_at_last() {
            return;
        }
        if let Some(request) = self.control.cancel.take()
            && self.cancel_unless_pivot(*request)
        {
            return;
        }
        self.poll_body();
        self.advance_undo();
        self.advance_orphans();
    }

    /// The journal says what a client or an operator asked for.
    pub(super) fn replay_request(&mut self, entry: &Entry) {
        match entry {
            Entry::CancelRequested(request) if self.control.suspended => {
                self.control.cancel = Some(Box::new(request.clone()));
            }
            Entry::CancelRequested(request) => self.cancel_replayed(request.clone()),
            Entry::Begun => {
                self.control.early = false;
                self.timers.remove(&TimerKey::Begin);
                self.poll_body();
            }
            Entry::Suspended(_) => self.stand_still(),
            Entry::Resumed(_) => {
                self.stand_no_longer();
                if let Some(request) = self.control.cancel.take() {
                    self.cancel_replayed(*request);
                }
                self.poll_body();
            }
            _ => {}
        }
    }

    /// Whether something is to be done before which the journal should say whose the run is.
    pub(crate) fn should_note_owner(&self) -> bool {
        self.has_ready() && !is_planted(Planted::ClaimTrusted)
    }

    /// The run was taken up, with nothing to record: says so, to have a record to release it with if it is
    /// suspended, or to make an attempt after.
    pub(crate) fn take_note_of_owner(&mut self, by: String) {
        self.push(Entry::Claimed(Claimed::noted(by)));
    }
}
