//! What a workflow's operations see while the workflow is polled.
//!
//! The engine puts the run's [`Context`] into a thread-local for the time of one poll. An
//! operation finds its place in the code there, says what it decides, and takes what has
//! arrived for it. Nothing here reads a clock, spawns or waits.

mod awaited;
mod patches;
mod values;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use saga_store::wire::{ChildEnd, Continued, Entry, EventMessage, Failure, OpId, Payload, StepFailed};
use saga_store::{ExecutionId, Timestamp};

use crate::activity::{ActivityDefinition, Overrides};
use crate::codec::{self, Encoder};
use crate::few::FewMap;
use crate::line::{self, Line};
use awaited::AwaitedEvents;
use patches::Patches;

thread_local! {
    static CURRENT: RefCell<Option<Box<Context>>> = const { RefCell::new(None) };
}

/// Room for more entries, or decisions, than this is given back.
pub(crate) const ROOM_KEPT: usize = 16;

/// What has arrived for an operation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Arrival {
    /// A step's output, or an event's value.
    Value(Payload),
    /// A step's failure. What is rare has a box: each place that is waited for has room for an arrival.
    Failure(Box<Failure>),
    /// A timer.
    Fired,
    /// The end of a child.
    Child(Box<ChildEnd>),
    /// The failure of a step that this run attempts for another.
    Unsuccessful(Box<StepFailed>),
}

/// What an operation decided: an entry, and for a step the code to run.
#[derive(Debug, Clone)]
pub(crate) struct Decision {
    pub(crate) entry: Entry,
    pub(crate) step: Option<StepCode>,
    /// Where the code stood that decided it.
    pub(crate) line: Option<Line>,
}

impl Decision {
    pub(crate) fn new(entry: Entry, step: Option<StepCode>) -> Self {
        Self { entry, step, line: line::current() }
    }
}

/// What a scheduled step runs, beyond what the journal says of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StepCode {
    pub(crate) definition: &'static ActivityDefinition,
    pub(crate) overrides: Overrides,
}

#[derive(Debug)]
enum Slot {
    /// Somebody waits for it: in the scope of this place, if that is not the one it began in.
    Waiting(Option<OpId>),
    /// Waits until the branch of this place is undone.
    Undoing,
    Arrived(Arrival),
}

/// A run's memory of its operations.
#[derive(Debug)]
pub(crate) struct Context {
    execution: ExecutionId,
    /// The name under which the workflow was started.
    workflow: Arc<str>,
    now: Timestamp,
    seed: u64,
    scope: OpId,
    next: u32,
    slots: FewMap<OpId, Slot>,
    /// How many slots have nothing yet.
    outstanding: usize,
    /// Those of these that wait for a branch to be undone.
    undoing: BTreeSet<OpId>,
    /// Where what has arrived since the last poll is waited for. Joins poll these branches only.
    woken: Vec<OpId>,
    decisions: Vec<Decision>,
    recorded: BTreeMap<OpId, Payload>,
    early_events: BTreeMap<String, VecDeque<Payload>>,
    awaited_events: AwaitedEvents,
    /// Children whose handles were dropped in this poll.
    dropped_handles: Vec<OpId>,
    /// The place at which the workflow ended, to go on in another execution.
    continuing: Option<OpId>,
    fatal: Option<String>,
    status: Option<Box<Payload>>,
    patches: Patches,
    encoder: Encoder,
    /// What the journal has with a large value: it was within the limit when it was recorded.
    large: BTreeSet<OpId>,
}

impl Context {
    pub(crate) fn new(execution: ExecutionId, workflow: Arc<str>, seed: u64, now: Timestamp, encoder: Encoder) -> Self {
        Self {
            execution,
            workflow,
            now,
            seed,
            scope: OpId::root(),
            next: 0,
            slots: FewMap::default(),
            outstanding: 0,
            undoing: BTreeSet::new(),
            woken: Vec::new(),
            decisions: Vec::new(),
            recorded: BTreeMap::new(),
            early_events: BTreeMap::new(),
            awaited_events: AwaitedEvents::default(),
            dropped_handles: Vec::new(),
            continuing: None,
            fatal: None,
            status: None,
            patches: Patches::default(),
            encoder,
            large: BTreeSet::new(),
        }
    }

    /// The next place in the current scope.
    pub(crate) fn next_op(&mut self) -> OpId {
        let op = self.scope.child(self.next);
        self.next += 1;
        op
    }

    /// The run's journal.
    pub(crate) fn execution(&self) -> ExecutionId {
        self.execution
    }

    /// The name under which the workflow was started.
    pub(crate) fn workflow(&self) -> &str {
        &self.workflow
    }

    /// The time of the record that was last fed.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    pub(crate) fn set_now(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
    }

    /// What the run's random values derive from.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// Records a decision whose outcome will arrive for `op`.
    pub(crate) fn decide(&mut self, op: OpId, decision: Decision) {
        self.expect(op, Slot::Waiting(None));
        self.decisions.push(decision);
    }

    /// Records a decision that nothing will arrive for.
    pub(crate) fn note(&mut self, entry: Entry) {
        self.decisions.push(Decision::new(entry, None));
    }

    fn expect(&mut self, op: OpId, slot: Slot) {
        self.forget(&op);
        self.outstanding += 1;
        if matches!(slot, Slot::Undoing) {
            self.undoing.insert(op.clone());
        }
        self.slots.insert(op, slot);
    }

    /// Nobody waits for it any more. Whether somebody did.
    fn forget(&mut self, op: &OpId) -> bool {
        let Some(slot) = self.slots.remove(op) else { return false };
        self.outstanding -= usize::from(!matches!(slot, Slot::Arrived(_)));
        if matches!(slot, Slot::Undoing) {
            self.undoing.remove(op);
        }
        true
    }

    /// Takes what has arrived for an operation. If nothing has, the scope that asks is the one to
    /// be polled when something does.
    pub(crate) fn take(&mut self, op: &OpId) -> Option<Arrival> {
        match self.slots.get_mut(op)? {
            Slot::Arrived(_) => match self.slots.remove(op) {
                Some(Slot::Arrived(arrival)) => Some(arrival),
                _ => None,
            },
            Slot::Waiting(elsewhere) => {
                *elsewhere = (!op.is_within(&self.scope)).then(|| self.scope.clone());
                None
            }
            Slot::Undoing => None,
        }
    }

    /// Puts what arrived where its operation finds it.
    pub(crate) fn arrive(&mut self, op: &OpId, arrival: Arrival) {
        let woken = self.fill(op, arrival);
        self.woken.extend(woken);
    }

    /// The scope that waited for it.
    fn fill(&mut self, op: &OpId, arrival: Arrival) -> Option<OpId> {
        let slot = self.slots.get_mut(op)?;
        self.outstanding -= usize::from(!matches!(slot, Slot::Arrived(_)));
        if matches!(slot, Slot::Undoing) {
            self.undoing.remove(op);
        }
        match std::mem::replace(slot, Slot::Arrived(arrival)) {
            Slot::Waiting(Some(elsewhere)) => Some(elsewhere),
            _ => Some(op.clone()),
        }
    }

    /// Which branches of the join at this place have something new, ascending; `None` if that is
    /// not known, and all are to be polled.
    pub(crate) fn woken_branches(&self, join: &OpId) -> Option<Vec<u32>> {
        let depth = join.path().len();
        if self.woken.is_empty() || self.woken.iter().any(|op| op.path().len() <= depth && join.is_within(op)) {
            return None;
        }
        let within = self.woken.iter().filter(|op| op.is_within(join));
        let mut branches: Vec<u32> = within.filter_map(|op| op.path().get(depth).copied()).collect();
        branches.sort_unstable();
        branches.dedup();
        Some(branches)
    }

    /// The poll is over: whoever was woken has been polled.
    pub(crate) fn end_poll(&mut self) {
        self.woken.clear();
    }

    /// An event came: it goes to the operation that has waited longest for its name, else it is
    /// kept for the next one that will.
    pub(crate) fn receive_event(&mut self, name: &str, value: Payload) {
        match self.awaited_events.pop(name) {
            Some(op) => self.arrive(&op, Arrival::Value(value)),
            None => self.early_events.entry(name.to_owned()).or_default().push_back(value),
        }
    }

    /// Takes an event that came early, or begins to wait for one.
    pub(crate) fn await_event(&mut self, op: &OpId, name: &str) {
        let entry = Entry::EventAwaited(op.clone(), name.to_owned());
        self.decide(op.clone(), Decision::new(entry, None));
        match self.early_events.get_mut(name).and_then(VecDeque::pop_front) {
            // Whoever asks is being polled.
            Some(value) => drop(self.fill(op, Arrival::Value(value))),
            None => self.awaited_events.push(name, op.clone()),
        }
    }

    /// Whether some operation waits for an event.
    pub(crate) fn awaits_events(&self) -> bool {
        !self.awaited_events.is_empty()
    }

    /// The workflow ends here, and its run goes on in another execution.
    pub(crate) fn continue_as_new(&mut self, continued: Continued) {
        if self.continuing.is_none() {
            self.continuing = Some(continued.op.clone());
            self.note(Entry::Continued(Box::new(continued)));
        }
    }

    /// Whether the workflow ended so; it did not if it goes on, or has ended in another way.
    pub(crate) fn take_continuing(&mut self, ended: bool) -> bool {
        let continuing = self.continuing.take().is_some();
        if continuing && !ended {
            self.decisions.retain(|decision| !matches!(decision.entry, Entry::Continued(_)));
        }
        continuing && ended
    }

    /// Events that came and that no operation has taken.
    pub(crate) fn take_early_events(&mut self) -> Vec<EventMessage> {
        let early = std::mem::take(&mut self.early_events).into_iter();
        early
            .flat_map(|(name, values)| values.into_iter().map(move |value| EventMessage { name: name.clone(), value }))
            .collect()
    }

    /// A branch is let go: nothing will arrive for its operations, and what they did is undone.
    /// One that has begun nothing leaves no trace.
    pub(crate) fn drop_branch(&mut self, branch: &Branch) {
        if branch.next == 0 {
            return;
        }
        self.hold_again(&branch.path);
        if self.continuing.as_ref().is_some_and(|op| op.is_within(&branch.path)) {
            self.take_continuing(false);
        }
        let from = self.slots.starting_at(&branch.path).map(|(op, _)| op);
        let within: Vec<OpId> = from.take_while(|op| op.is_within(&branch.path)).cloned().collect();
        for op in &within {
            self.forget(op);
        }
        self.awaited_events.drop_within(&branch.path);
        self.note(Entry::Dropped(branch.path.clone()));
    }

    /// The handle of a child was dropped: if the child has not ended it goes on by itself.
    pub(crate) fn detach(&mut self, op: &OpId) {
        if matches!(self.slots.get(op), Some(Slot::Waiting(_))) {
            self.dropped_handles.push(op.clone());
            self.detach_for_good(op);
        }
    }

    /// The workflow lets a child go on by itself.
    pub(crate) fn detach_for_good(&mut self, op: &OpId) {
        if self.forget(op) {
            self.note(Entry::ChildDetached(op.clone()));
        }
    }

    /// Handles that were dropped because what held them has failed let nothing go on: the
    /// children of this scope end with it.
    pub(crate) fn hold_again(&mut self, scope: &OpId) {
        if self.dropped_handles.is_empty() {
            return;
        }
        let dropped = std::mem::take(&mut self.dropped_handles);
        let held = |op: &OpId| op.is_within(scope) && dropped.contains(op);
        self.decisions.retain(|decision| !matches!(&decision.entry, Entry::ChildDetached(op) if held(op)));
        self.dropped_handles = dropped;
    }

    /// The same, and somebody waits until what the branch did is undone. One that has begun
    /// nothing is not waited for.
    pub(crate) fn undo_branch(&mut self, branch: &Branch) -> bool {
        let begun = branch.next > 0;
        self.drop_branch(branch);
        if begun {
            self.expect(branch.path.clone(), Slot::Undoing);
        }
        begun
    }

    /// The branches that somebody waits for to be undone.
    pub(crate) fn undoing(&self) -> impl Iterator<Item = &OpId> {
        self.undoing.iter()
    }

    /// A value that the journal has recorded at this place.
    pub(crate) fn recorded(&mut self, op: &OpId) -> Option<Payload> {
        self.recorded.remove(op)
    }

    pub(crate) fn set_recorded(&mut self, recorded: BTreeMap<OpId, Payload>) {
        self.recorded = recorded;
    }

    /// What clients shall see as the run's status. It is no decision: nothing depends on it.
    pub(crate) fn set_status(&mut self, status: Payload) {
        self.status = Some(Box::new(status));
    }

    pub(crate) fn take_status(&mut self) -> Option<Box<Payload>> {
        self.status.take()
    }

    /// The run cannot go on, for this reason.
    pub(crate) fn fail(&mut self, reason: String) {
        self.fatal.get_or_insert(reason);
    }

    pub(crate) fn fatal(&mut self) -> Option<String> {
        self.fatal.take()
    }

    /// What was decided in this poll.
    pub(crate) fn take_decisions(&mut self) -> Vec<Decision> {
        self.dropped_handles.clear();
        std::mem::take(&mut self.decisions)
    }

    /// The room of what was decided serves for what comes next.
    pub(crate) fn keep_room(&mut self, taken: Vec<Decision>) {
        if taken.is_empty() && self.decisions.capacity() == 0 && taken.capacity() <= ROOM_KEPT {
            self.decisions = taken;
        }
    }

    /// The run only waits: the room is given back.
    pub(crate) fn rest(&mut self) {
        if self.decisions.is_empty() {
            self.decisions = Vec::new();
        }
        if self.woken.is_empty() {
            self.woken = Vec::new();
        }
        self.slots.shrink();
    }

    /// Whether any operation is outstanding.
    pub(crate) fn is_waiting(&self) -> bool {
        self.outstanding > 0
    }

    /// Makes a branch's place and count current; gives back the ones that were.
    pub(crate) fn swap_scope(&mut self, scope: &mut Branch) {
        std::mem::swap(&mut self.scope, &mut scope.path);
        std::mem::swap(&mut self.next, &mut scope.next);
    }
}

/// The place of a branch of a join, and how many operations it has begun.
#[derive(Debug)]
pub(crate) struct Branch {
    path: OpId,
    next: u32,
}

impl Branch {
    pub(crate) fn new(join: &OpId, index: u32) -> Self {
        Self { path: join.child(index), next: 0 }
    }

    pub(crate) fn path(&self) -> &OpId {
        &self.path
    }

    /// Runs `f` with this branch's place as the current one.
    pub(crate) fn within<R>(&mut self, f: impl FnOnce() -> R) -> R {
        with("a join", |context| context.swap_scope(self));
        let result = f();
        with("a join", |context| context.swap_scope(self));
        result
    }
}

/// Runs `f` on the context of the run that is being polled.
///
/// # Panics
///
/// If no workflow is being polled on this thread.
pub(crate) fn with<R>(what: &str, f: impl FnOnce(&mut Context) -> R) -> R {
    CURRENT.with_borrow_mut(|current| match current {
        Some(context) => f(context),
        None => panic!("{what} was used outside a workflow: it works in functions annotated with `#[workflow]` or `#[durable]`, on the engine's own poll"),
    })
}

/// Whether the workflow that is being polled has ended to go on in another execution.
pub(crate) fn is_continuing() -> bool {
    CURRENT.with_borrow(|current| current.as_ref().is_some_and(|context| context.continuing.is_some()))
}

/// The same where nothing is to be done if no workflow is being polled.
pub(crate) fn try_with(f: impl FnOnce(&mut Context)) {
    CURRENT.with(|current| {
        if let Ok(mut current) = current.try_borrow_mut()
            && let Some(context) = &mut *current
        {
            f(context);
        }
    });
}

/// Polls with a context in place, and gives it back.
pub(crate) fn enter<R>(context: Box<Context>, poll: impl FnOnce() -> R) -> (Box<Context>, R) {
    let codec = context.encoder.codec;
    let before = CURRENT.replace(Some(context));
    let result = codec::within(codec, poll);
    let context = CURRENT.replace(before);
    match context {
        Some(context) => (context, result),
        None => unreachable!("the context stays in place while a workflow is polled"),
    }
}
