//! The steps of a run that have not ended, with counts of what is asked of all of them after each
//! arrival: with ten thousand steps at once, looking at each then would take the square of their
//! number.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use saga_store::Timestamp;
use saga_store::wire::{OpId, Payload};

use super::errands;
use crate::activity::{ActivityDefinition, RetryPolicy};
use crate::few::FewMap;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StepState {
    /// Its attempt waits for the turn to be durable, or for its time.
    Idle,
    Running,
    /// Its attempt has ended, and whoever has the token says what became of it.
    Deferred,
}

/// A step that has not ended.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, not a state")]
pub(super) struct Step {
    /// What its attempts run, if this worker has it.
    pub(super) definition: Option<&'static ActivityDefinition>,
    pub(super) activity: Cow<'static, str>,
    pub(super) input: Payload,
    /// The idempotency key that the call has set.
    pub(super) idempotency: Option<Arc<str>>,
    pub(super) retry: RetryPolicy,
    pub(super) timeout: Duration,
    /// The timeout is that of the call.
    pub(super) timeout_at_call: bool,
    pub(super) deadline: Option<Timestamp>,
    /// Attempts that have ended.
    pub(super) attempts: u32,
    /// Whether an attempt may have had an effect.
    pub(super) unknown: bool,
    /// The record that scheduled it: no attempt was made before that was durable.
    pub(super) record: usize,
    /// Its effect and its record are one transaction: what is not journalled did not happen.
    pub(super) atomic: bool,
    /// It is the point of no return, once it has succeeded.
    pub(super) pivot: bool,
    /// Another run makes its attempts.
    pub(super) errand: Option<Box<errands::Sent>>,
    pub(super) standing: Standing,
}

/// What is counted of a step: it changes by way of [`Steps`] only.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    state: StepState,
    /// Its branch was dropped: it is only settled, nobody waits for it.
    orphan: bool,
}

impl Standing {
    /// That of a step that has just been scheduled.
    pub(super) fn new(orphan: bool) -> Self {
        Self { state: StepState::Idle, orphan }
    }
}

impl Step {
    pub(super) fn state(&self) -> StepState {
        self.standing.state
    }

    pub(super) fn is_running(&self) -> bool {
        self.standing.state == StepState::Running
    }

    pub(super) fn is_deferred(&self) -> bool {
        self.standing.state == StepState::Deferred
    }

    /// Whether its branch was dropped: it is only settled, nobody waits for it.
    pub(super) fn is_orphan(&self) -> bool {
        self.standing.orphan
    }

    /// The same step, to be attempted anew for nobody but its undo.
    pub(super) fn for_settling(mut self, orphan: bool) -> Self {
        self.standing = Standing::new(orphan || self.standing.orphan);
        self.deadline = None;
        self
    }
}

/// See the module's docs.
#[derive(Debug, Default)]
pub(super) struct Steps {
    open: FewMap<OpId, Step>,
    counts: Counts,
}

impl Steps {
    /// The run only waits: room that it may need later is given back.
    pub(super) fn rest(&mut self) {
        self.open.shrink();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn contains_key(&self, op: &OpId) -> bool {
        self.open.contains_key(op)
    }

    pub(super) fn get(&self, op: &OpId) -> Option<&Step> {
        self.open.get(op)
    }

    pub(super) fn get_mut(&mut self, op: &OpId) -> Option<&mut Step> {
        self.open.get_mut(op)
    }

    pub(super) fn insert(&mut self, op: OpId, step: Step) {
        self.counts.step(&step, 1);
        if let Some(before) = self.open.insert(op, step) {
            self.counts.step(&before, -1);
        }
    }

    pub(super) fn remove(&mut self, op: &OpId) -> Option<Step> {
        let step = self.open.remove(op)?;
        self.counts.step(&step, -1);
        Some(step)
    }

    /// Removes one that has ended, of which nothing is wanted but how often it was attempted and whether
    /// it had a deadline.
    pub(super) fn close(&mut self, op: &OpId) -> Option<(u32, bool)> {
        let counts = &mut self.counts;
        self.open.drop_entry(op, |step| {
            counts.step(step, -1);
            (step.attempts, step.deadline.is_some())
        })
    }

    /// Takes all out.
    pub(super) fn take(&mut self) -> impl Iterator<Item = (OpId, Step)> + use<> {
        std::mem::take(self).open.take()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&OpId, &Step)> {
        self.open.iter()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Step> {
        self.open.values()
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Step> {
        self.open.values_mut()
    }

    /// Those of a scope.
    pub(super) fn within(&self, scope: &OpId) -> impl Iterator<Item = (&OpId, &Step)> {
        self.open.starting_at(scope).take_while(|(op, _)| op.is_within(scope))
    }

    /// The places of those of a scope.
    pub(super) fn ops_within(&self, scope: &OpId) -> Vec<OpId> {
        self.within(scope).map(|(op, _)| op.clone()).collect()
    }

    pub(super) fn set_state(&mut self, op: &OpId, state: StepState) -> Option<&mut Step> {
        self.stands(op, |standing| standing.state = state)
    }

    /// Nobody waits for it any more.
    pub(super) fn set_orphan(&mut self, op: &OpId) {
        self.stands(op, |standing| standing.orphan = true);
    }

    pub(super) fn some_running(&self) -> bool {
        self.counts.running > 0
    }

    pub(super) fn some_deferred(&self) -> bool {
        self.counts.deferred > 0
    }

    pub(super) fn some_orphaned(&self) -> bool {
        self.counts.orphans > 0
    }

    /// Whether another run makes the attempts of some step.
    pub(super) fn some_sent(&self) -> bool {
        self.counts.errands > 0
    }

    fn stands(&mut self, op: &OpId, change: impl FnOnce(&mut Standing)) -> Option<&mut Step> {
        let step = self.open.get_mut(op)?;
        self.counts.standing(step.standing, -1);
        change(&mut step.standing);
        self.counts.standing(step.standing, 1);
        Some(step)
    }
}

/// How many of the open steps are what.
#[derive(Debug, Default)]
struct Counts {
    running: usize,
    deferred: usize,
    orphans: usize,
    errands: usize,
}

impl Counts {
    fn step(&mut self, step: &Step, by: isize) {
        count(&mut self.errands, step.errand.is_some(), by);
        self.standing(step.standing, by);
    }

    fn standing(&mut self, standing: Standing, by: isize) {
        count(&mut self.running, standing.state == StepState::Running, by);
        count(&mut self.deferred, standing.state == StepState::Deferred, by);
        count(&mut self.orphans, standing.orphan, by);
    }
}

fn count(number: &mut usize, counts: bool, by: isize) {
    if counts {
        *number = number.saturating_add_signed(by);
    }
}
