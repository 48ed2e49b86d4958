//! The undo log: which steps are to be undone, by what, and in which order.
//!
//! A step's undo starts after the undos of all steps that were scheduled after it had completed;
//! steps that overlapped are undone at the same time. The order follows from positions in the
//! journal alone, so that it survives a crash without the workflow's code.

use std::collections::{BTreeMap, BTreeSet};

use saga_store::wire::{OpId, UndoPlan, UndoStep};

use super::planted::{Planted, is_planted};
use crate::seldom::Empty;

/// A step that has something to undo, or may have.
#[derive(Debug, Clone)]
pub(crate) struct Undoable {
    pub(crate) op: OpId,
    pub(crate) call: Option<Box<UndoStep>>,
    /// Attempts of the undo that have ended.
    pub(crate) attempts: u32,
    /// Whether it has its turn: an attempt is ready, under way or waits for its time.
    begun: bool,
    /// Whether an attempt is under way.
    pub(crate) running: bool,
    /// It is the point of no return: nothing before it is undone until its outcome is known.
    pub(crate) pivot: bool,
    ended_at: u64,
}

impl Undoable {
    fn waits(&self) -> bool {
        !self.begun && self.call.is_some()
    }
}

/// A step that has not ended: it overlaps everything that comes later.
const NEVER: u64 = u64::MAX;

/// The steps to undo, by the position at which they were scheduled.
#[derive(Debug, Default)]
pub(crate) struct UndoLog {
    by_schedule: BTreeMap<u64, Undoable>,
    /// (end, schedule) of each that has not begun and whose call is known.
    waiting: BTreeSet<(u64, u64)>,
    schedule_of: BTreeMap<OpId, u64>,
}

impl Empty for UndoLog {
    fn empty() -> &'static Self {
        static EMPTY: UndoLog =
            UndoLog { by_schedule: BTreeMap::new(), waiting: BTreeSet::new(), schedule_of: BTreeMap::new() };
        &EMPTY
    }
}

impl UndoLog {
    /// A step was scheduled at this position of the journal.
    pub(crate) fn scheduled(&mut self, position: u64, op: &OpId, plan: &UndoPlan) {
        let call = match plan {
            UndoPlan::Nothing => return,
            UndoPlan::Known(call) => Some(call.clone()),
            UndoPlan::FromOutput => None,
        };
        let item =
            Undoable { op: op.clone(), call, attempts: 0, begun: false, running: false, pivot: false, ended_at: NEVER };
        self.insert(position, item);
    }

    /// A step that is the point of no return was scheduled at this position.
    pub(crate) fn pivot_scheduled(&mut self, position: u64, op: &OpId) {
        self.scheduled(position, op, &UndoPlan::FromOutput);
        if let Some(item) = self.get_mut(op) {
            item.pivot = true;
        }
    }

    /// The point of no return at this place, scheduled at this position, is passed: what was
    /// scheduled before it, and not beside it, is not undone any more.
    pub(crate) fn pass_pivot(&mut self, position: u64, op: &OpId) {
        let before = self.by_schedule.range(..position).map(|(_, item)| &item.op);
        let dropped: Vec<OpId> = before.filter(|done| !are_beside(done, op)).cloned().collect();
        for op in &dropped {
            self.remove(op);
        }
        self.remove(op);
    }

    /// Where a step was scheduled.
    pub(crate) fn schedule_of(&self, op: &OpId) -> Option<u64> {
        self.schedule_of.get(op).copied()
    }

    /// An undo was added by hand at this position.
    pub(crate) fn added(&mut self, position: u64, op: &OpId, call: &UndoStep) {
        self.scheduled(position, op, &UndoPlan::Known(Box::new(call.clone())));
        self.ended(position, op, None);
    }

    /// The step has ended at this position; `call` is its undo, if that needed the output.
    pub(crate) fn ended(&mut self, position: u64, op: &OpId, call: Option<&UndoStep>) {
        let Some(schedule) = self.schedule_of.get(op) else { return };
        let Some(item) = self.by_schedule.get_mut(schedule) else { return };
        self.waiting.remove(&(item.ended_at, *schedule));
        item.ended_at = position;
        if let Some(call) = call {
            item.call = Some(Box::new(call.clone()));
        }
        if item.waits() {
            self.waiting.insert((position, *schedule));
        }
    }

    /// There is nothing to undo of this step, or no longer.
    pub(crate) fn remove(&mut self, op: &OpId) {
        let Some(schedule) = self.schedule_of.remove(op) else { return };
        if let Some(item) = self.by_schedule.remove(&schedule) {
            self.waiting.remove(&(item.ended_at, schedule));
        }
    }

    /// Takes out what was done within a scope, to be undone by itself.
    pub(crate) fn split_off(&mut self, scope: &OpId) -> Self {
        let mut taken = Self::default();
        let from = self.schedule_of.range(scope..).map(|(op, _)| op);
        let within: Vec<OpId> = from.take_while(|op| op.is_within(scope)).cloned().collect();
        for op in within {
            let Some(schedule) = self.schedule_of.remove(&op) else { continue };
            let Some(item) = self.by_schedule.remove(&schedule) else { continue };
            self.waiting.remove(&(item.ended_at, schedule));
            taken.insert(schedule, item);
        }
        taken
    }

    fn insert(&mut self, schedule: u64, item: Undoable) {
        if item.waits() {
            self.waiting.insert((item.ended_at, schedule));
        }
        self.schedule_of.insert(item.op.clone(), schedule);
        self.by_schedule.insert(schedule, item);
    }

    /// Where the last step of the log was scheduled.
    pub(crate) fn last_schedule(&self) -> Option<u64> {
        self.by_schedule.last_key_value().map(|(schedule, _)| *schedule)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_schedule.is_empty()
    }

    /// The undos of which an attempt is under way.
    pub(crate) fn running(&self) -> impl Iterator<Item = OpId> + '_ {
        self.by_schedule.values().filter(|item| item.running).map(|item| item.op.clone())
    }

    pub(crate) fn get(&self, op: &OpId) -> Option<&Undoable> {
        self.by_schedule.get(self.schedule_of.get(op)?)
    }

    pub(crate) fn get_mut(&mut self, op: &OpId) -> Option<&mut Undoable> {
        self.by_schedule.get_mut(self.schedule_of.get(op)?)
    }

    /// Marks the undos that may start now as begun, and names them: those whose step had not
    /// ended before any other remaining step was scheduled, and whose call is known. `beside` is
    /// where the last step of other logs was scheduled that are to be undone first.
    pub(crate) fn begin(&mut self, beside: Option<u64>) -> Vec<OpId> {
        let Some(last_schedule) = self.last_schedule().max(beside) else {
            return Vec::new();
        };
        let free: Vec<u64> = if is_planted(Planted::UndoOrderReversed) {
            self.by_schedule.keys().take(1).copied().collect()
        } else {
            self.waiting.range((last_schedule, 0)..).map(|(_, schedule)| *schedule).collect()
        };
        let mut begun = Vec::new();
        for schedule in free.into_iter().rev() {
            if let Some(item) = self.by_schedule.get_mut(&schedule)
                && item.waits()
            {
                item.begun = true;
                self.waiting.remove(&(item.ended_at, schedule));
                begun.push(item.op.clone());
            }
        }
        begun
    }

    /// The undo of this step has had its turn.
    pub(crate) fn set_begun(&mut self, op: &OpId) {
        let Some(schedule) = self.schedule_of(op) else { return };
        if let Some(item) = self.by_schedule.get_mut(&schedule) {
            item.begun = true;
            self.waiting.remove(&(item.ended_at, schedule));
        }
    }

    /// The undo of this step has its turn anew, as if it had not been attempted.
    pub(crate) fn anew(&mut self, op: &OpId) {
        let Some(schedule) = self.schedule_of(op) else { return };
        if let Some(item) = self.by_schedule.get_mut(&schedule) {
            (item.begun, item.attempts) = (false, 0);
            if item.waits() {
                self.waiting.insert((item.ended_at, schedule));
            }
        }
    }

    /// Where each was scheduled.
    pub(crate) fn schedules(&self) -> impl Iterator<Item = u64> + '_ {
        self.by_schedule.keys().copied()
    }
}

/// Whether two places are in branches that go on at the same time. A path is made of places in a
/// scope and numbers of branches, in turn.
fn are_beside(a: &OpId, b: &OpId) -> bool {
    let differ = a.path().iter().zip(b.path()).position(|(a, b)| a != b);
    differ.is_some_and(|at| at % 2 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activity::RetryPolicy;
    use saga_store::wire::Payload;

    fn op(number: u32) -> OpId {
        OpId::root().child(number)
    }

    fn known() -> UndoPlan {
        UndoPlan::Known(Box::new(UndoStep {
            activity: "undo".to_owned(),
            input: Payload::json("{}"),
            retry: RetryPolicy::UNDO.to_wire(),
            timeout: 1,
        }))
    }

    #[test]
    fn steps_one_after_another_are_undone_one_after_another_in_reverse() {
        let mut log = UndoLog::default();
        for number in 0..3 {
            log.scheduled(u64::from(number) * 2, &op(number), &known());
            log.ended(u64::from(number) * 2 + 1, &op(number), None);
        }
        for number in (0..3).rev() {
            assert_eq!(log.begin(None), [op(number)]);
            assert_eq!(log.begin(None), []);
            log.remove(&op(number));
        }
        assert!(log.is_empty());
    }

    #[test]
    fn steps_that_overlapped_are_undone_at_the_same_time_and_before_the_step_that_preceded_them() {
        let mut log = UndoLog::default();
        log.scheduled(0, &op(0), &known());
        log.ended(1, &op(0), None);
        log.scheduled(2, &op(1), &known());
        log.scheduled(3, &op(2), &known());
        log.ended(4, &op(2), None);
        log.ended(5, &op(1), None);
        let mut both = log.begin(None);
        both.sort();
        assert_eq!(both, [op(1), op(2)]);
        log.remove(&op(1));
        assert_eq!(log.begin(None), [], "one of the two is still being undone");
        log.remove(&op(2));
        assert_eq!(log.begin(None), [op(0)]);
    }

    #[test]
    fn a_passed_pivot_drops_what_came_before_and_leaves_what_is_beside() {
        let branch = |index: u32, number: u32| OpId::root().child(1).child(index).child(number);
        let mut log = UndoLog::default();
        log.scheduled(0, &op(0), &known());
        log.ended(1, &op(0), None);
        log.scheduled(2, &branch(0, 0), &known());
        log.scheduled(3, &branch(1, 0), &known());
        log.pivot_scheduled(4, &branch(0, 1));
        log.scheduled(5, &branch(0, 2), &known());
        assert!(log.begin(None).iter().all(|op| *op != OpId::root().child(0)), "its outcome is unknown");
        log.pass_pivot(4, &branch(0, 1));
        assert!(log.get(&op(0)).is_none(), "before it");
        assert!(log.get(&branch(0, 0)).is_none(), "before it, in its branch");
        assert!(log.get(&branch(1, 0)).is_some(), "beside it");
        assert!(log.get(&branch(0, 2)).is_some(), "after it");
    }

    #[test]
    fn an_undo_that_needs_an_output_waits_for_it_and_holds_back_what_came_before() {
        let mut log = UndoLog::default();
        log.scheduled(0, &op(0), &known());
        log.ended(1, &op(0), None);
        log.scheduled(2, &op(1), &UndoPlan::FromOutput);
        assert_eq!(log.begin(None), []);
        let UndoPlan::Known(call) = known() else { return };
        log.ended(3, &op(1), Some(&call));
        assert_eq!(log.begin(None), [op(1)]);
    }
}
