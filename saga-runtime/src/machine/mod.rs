//! A run as a state machine without IO: what arrives goes in, entries for the journal and
//! attempts to start come out.
//!
//! The driver feeds arrivals, commits the [`Turn`] that they caused, and only when that is
//! acknowledged asks for the attempts to start. Time and randomness are given with each call.

mod children;
mod control;
mod decisions;
mod ending;
mod errands;
mod forward;
mod later;
mod orphans;
mod pivot;
pub(crate) mod planted;
mod progress;
mod ready;
mod repair;
mod replay;
mod sessions;
mod steps;
mod stopping;
mod timers;
mod undo;
mod undoing;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use saga_store::wire::{Attempted, Conclusion, Continued, Entry, EventMessage, OpId, Parent, Payload, UndoCause};
use saga_store::{ExecutionId, Message, RunId, Timestamp};

use crate::activity::{ActivityDefinition, OnBehalf};
use crate::codec::Encoder;
use crate::context::{Context, Decision, ROOM_KEPT, StepCode};
use crate::line::Line;
use crate::seldom::Seldom;
use crate::workflow::{BodyFuture, WorkflowDefinition};
pub(crate) use children::{end_message, farewells};
use steps::{Step, StepState, Steps};
use timers::{TimerKey, Timers};
use undo::UndoLog;

/// Finds an activity by its durable name.
pub(crate) type Resolve = dyn Fn(&str) -> Option<&'static ActivityDefinition> + Send + Sync;

/// Finds a workflow by its durable name and version.
pub(crate) type ResolveWorkflow = dyn Fn(&str, u32) -> Option<&'static WorkflowDefinition> + Send + Sync;

/// Which run this is, and where it finds code.
pub(crate) struct Identity {
    pub(crate) id: RunId,
    pub(crate) execution: ExecutionId,
    pub(crate) workflow: Arc<str>,
    pub(crate) encoder: Encoder,
    /// What is noted beside the run, as the store has it.
    pub(crate) memo: Option<Arc<Bytes>>,
    pub(crate) resolve: Arc<Resolve>,
    pub(crate) workflows: Arc<ResolveWorkflow>,
}

/// An attempt's task: of a step, or of its undo.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TaskKey {
    pub(crate) op: OpId,
    pub(crate) undo: bool,
}

/// An attempt to start.
#[derive(Debug, Clone)]
pub(crate) struct AttemptStart {
    pub(crate) key: TaskKey,
    pub(crate) attempt: u32,
    pub(crate) definition: &'static ActivityDefinition,
    pub(crate) input: Payload,
    /// The idempotency key that the call has set.
    pub(crate) idempotency: Option<Arc<str>>,
    pub(crate) timeout: Duration,
    pub(crate) default_timeout: bool,
    /// What earlier attempts said of how far they were.
    pub(crate) progress: Option<Payload>,
    /// The step for which it is made, if that is another run's.
    pub(crate) on_behalf: Option<Arc<OnBehalf>>,
}

/// What one commit says.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) at: Timestamp,
    pub(crate) entries: Vec<Entry>,
    pub(crate) change: Option<Change>,
    pub(crate) status: Option<Payload>,
    /// What to send once it is durable.
    pub(crate) outbox: Vec<Message>,
}

/// A change of the run's state that a turn makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Undoing,
    Suspended,
    Resumed,
    Ended,
}

enum Phase {
    Forward,
    Undoing(Box<UndoCause>),
    Ended,
}

/// A run. See the module's docs.
#[allow(clippy::struct_excessive_bools, reason = "independent facts, not a state")]
pub(crate) struct Machine {
    identity: Arc<Identity>,
    phase: Phase,
    body: Option<BodyFuture>,
    context: Option<Box<Context>>,
    steps: Steps,
    /// Steps that failed with an unknown outcome and whose undo needs their output.
    unsettled: BTreeMap<OpId, Step>,
    undo: Seldom<UndoLog>,
    /// Whose child the run is.
    parent: Option<Box<Parent>>,
    children: Seldom<children::Children>,
    /// For whom this run makes the attempts of a step, and how.
    order: Option<Box<errands::Order>>,
    /// What a session knows of itself, if the run is one.
    relays: Option<Box<sessions::Relays>>,
    outbox: Vec<Message>,
    /// What dropped branches did, each by itself: undone at once, while the workflow goes on.
    orphans: Seldom<orphans::Orphans>,
    /// Whether a branch was dropped of which something may be left to settle or to undo.
    dropped: bool,
    pivots: pivot::Pivots,
    /// The workflow has ended, and what dropped branches did is still being undone.
    closing: Option<Box<ending::Ending>>,
    /// How the run goes on in another execution, once the workflow has said so.
    next: Option<Box<Continued>>,
    /// Events that came and that go on with it.
    left_over: Vec<EventMessage>,
    control: control::Control,
    /// What only a replay needs to know. A run that is new has nothing of it, and one that has been
    /// rebuilt no more.
    replayed: Option<Box<replay::Replayed>>,
    /// What the workflow last set as its status, until it is committed.
    status: Option<Box<Payload>>,
    /// How far attempts say they are.
    progress: progress::Progress,
    timers: Seldom<Timers>,
    ready: ready::Ready,
    aborts: Vec<TaskKey>,
    stopping: stopping::Stopping,
    entries: Vec<Entry>,
    waker: Arc<forward::OwnWaker>,
    /// The line that the workflow's code has reached.
    line: Option<Line>,
    must_commit: bool,
    /// While the decisions of one poll are taken: nobody is polled in between.
    deciding: bool,
    change: Option<Change>,
    at: Timestamp,
    /// Whether the turn that is being made has an arrival, whose time it then has.
    arrived: bool,
    /// It was dead and is repaired, and has not gone on since.
    repaired: bool,
    /// It was rebuilt, and has not been told the time since.
    rebuilt: bool,
    position: u64,
    /// The number of the record that is being made or replayed.
    record: usize,
    /// While replaying: what the code has decided and the journal has not yet confirmed.
    unconfirmed: Option<VecDeque<Decision>>,
    /// While replaying: how the code ended, before the journal says so.
    replayed_ending: Option<Box<ending::Ending>>,
}

/// In place of a step's record: it was scheduled when the run was suspended, and not attempted since.
const HELD: usize = usize::MAX;

/// Retry delays of at least this are journalled at once; shorter ones ride on the next record.
const VISIBLE_DELAY: Duration = Duration::from_secs(1);

impl Machine {
    /// Whether there is something to commit now.
    pub(crate) fn needs_commit(&self) -> bool {
        self.must_commit
    }

    /// The line that the workflow's code has reached, if it came to any await.
    pub(crate) fn line(&self) -> Option<Line> {
        self.line
    }

    /// What to commit. Nothing that it decides may leave the process before it is durable.
    pub(crate) fn take_turn(&mut self, now: impl FnOnce() -> Timestamp) -> Turn {
        // A replay takes the time from arrivals only; a turn without one says when it was made.
        if !std::mem::take(&mut self.arrived) {
            self.at = self.at.max(now());
        }
        self.must_commit = false;
        self.record += 1;
        let (change, status) = (self.change.take(), self.status.take().map(|status| *status));
        Turn {
            at: self.at,
            entries: std::mem::take(&mut self.entries),
            change,
            status,
            outbox: std::mem::take(&mut self.outbox),
        }
    }

    /// After a replay: what clients see as the status. What the workflow set is committed only if
    /// it differs.
    pub(crate) fn status_is(&mut self, seen: Option<&Payload>) {
        if self.status.as_deref() == seen {
            self.status = None;
        }
    }

    /// Gives back the entries of a turn that has been encoded: their room serves for the next.
    pub(crate) fn recycle(&mut self, mut entries: Vec<Entry>) {
        if self.entries.capacity() == 0 && entries.capacity() <= ROOM_KEPT {
            entries.clear();
            self.entries = entries;
        }
    }

    /// The run only waits: what it keeps for a next turn is given back, so that it is small meanwhile.
    pub(crate) fn rest(&mut self) {
        if self.entries.is_empty() {
            self.entries = Vec::new();
        }
        if self.timers.first().is_some() {
            self.timers.rest();
        } else {
            self.timers = Seldom::default();
        }
        self.steps.rest();
        self.ready.rest();
        if let Some(context) = &mut self.context {
            context.rest();
        }
    }

    /// The next attempt to start, once all that was taken is durable. Those that run inside the
    /// journal's transaction stay ready: they go one at a time.
    pub(crate) fn dispatch(&mut self) -> Option<AttemptStart> {
        while !self.control.suspended {
            let key = self.ready.pop()?;
            if self.is_transaction(&key) {
                self.ready.set_aside(key);
            } else if let Some(start) = self.start_attempt(key) {
                return Some(start);
            }
        }
        None
    }

    /// The next attempt to make inside the journal's transaction, once the others are started.
    pub(crate) fn next_transaction(&mut self) -> Option<AttemptStart> {
        if self.control.suspended {
            return None;
        }
        let key = self.ready.pop_aside()?;
        self.start_attempt(key)
    }

    /// Whether an attempt is to be started.
    pub(crate) fn has_ready(&self) -> bool {
        !self.control.suspended && !self.ready.is_empty()
    }

    /// Whether the end of this task's attempt is still wanted.
    pub(crate) fn awaits(&self, key: &TaskKey) -> bool {
        if key.undo {
            return !self.has_ended() && self.undoable(&key.op).is_some_and(|item| item.running);
        }
        self.steps.get(&key.op).is_some_and(Step::is_running)
    }

    fn is_transaction(&self, key: &TaskKey) -> bool {
        self.definition_of(key).is_some_and(ActivityDefinition::runs_in_commit)
    }

    /// Whether the only attempt to start is one whose effect and record are one transaction.
    pub(crate) fn is_transaction_next(&self) -> bool {
        let only = self.ready.only().filter(|_| !self.control.suspended);
        only.and_then(|key| self.definition_of(key)).is_some_and(ActivityDefinition::is_transaction)
    }

    /// The only attempt to start, if there is one only: asked of [a transaction](Self::is_transaction_next), which
    /// can share the commit of the turn that scheduled it.
    pub(crate) fn dispatch_transaction(&mut self) -> Option<AttemptStart> {
        let key = self.ready.only()?.clone();
        self.ready.clear();
        self.start_attempt(key)
    }

    /// When the next timer is due.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        // Nothing is due for a run that stands still.
        self.timers.first().filter(|_| !self.control.suspended)
    }

    /// Whether the run waits for timers or messages only, with nothing to start or to commit.
    pub(crate) fn is_dormant(&self) -> bool {
        // What was done is not being undone on the way forward.
        let undone = self.is_undoing().then_some(&*self.undo).into_iter().flat_map(UndoLog::running);
        let running = self.steps.some_running() || undone.chain(self.orphans.running()).next().is_some();
        !running && self.ready.is_empty() && !self.must_commit && !matches!(self.phase, Phase::Ended)
    }

    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }

    pub(crate) fn is_undoing(&self) -> bool {
        matches!(self.phase, Phase::Undoing(_))
    }

    /// Whether a message could matter to it.
    pub(crate) fn awaits_events(&self) -> bool {
        self.context.as_ref().is_some_and(|context| context.awaits_events())
    }

    /// Ends the run as dead, for this reason.
    pub(crate) fn park(&mut self, now: Timestamp, reason: String) {
        self.open_turn(now);
        self.drop_body();
        self.conclude(Conclusion::Dead { reason });
    }

    /// The time of the turn that is being made: that of its first arrival.
    fn open_turn(&mut self, now: Timestamp) {
        self.doubt_retries(now);
        if !self.arrived {
            self.at = self.at.max(now);
            self.arrived = true;
        }
        let at = self.at;
        if let Some(context) = &mut self.context {
            context.set_now(at);
        }
    }

    fn push(&mut self, entry: Entry) {
        self.position += 1;
        self.must_commit = true;
        self.entries.push(entry);
    }

    /// Records a failed attempt that will be repeated: now if the delay is long enough to be
    /// seen, else with the next record.
    fn push_attempted(&mut self, attempted: Attempted, delay: Duration) {
        self.record_progress(&TaskKey { op: attempted.op.clone(), undo: attempted.undo });
        self.position += 1;
        // There may be no next record before a suspended run leaves memory.
        self.must_commit |= delay >= VISIBLE_DELAY || self.control.suspended;
        self.entries.push(Entry::Attempted(attempted));
    }

    fn conclude(&mut self, conclusion: Conclusion) {
        for (op, step) in self.steps.take() {
            if step.is_running() {
                self.aborts.push(TaskKey { op, undo: false });
            }
        }
        let undos = self.undo.running().chain(self.orphans.running());
        self.aborts.extend(undos.map(|op| TaskKey { op, undo: true }));
        self.timers = Seldom::default();
        self.ready.clear();
        self.progress.clear();
        self.stopping = stopping::Stopping::default();
        self.unsettled.clear();
        self.end_sessions();
        self.tell_parent(&conclusion);
        self.push(Entry::Concluded(conclusion));
        self.change = Some(Change::Ended);
        self.phase = Phase::Ended;
    }

    /// Drops the workflow's future. A drop records nothing and undoes nothing by itself.
    fn drop_body(&mut self) {
        if let Some(body) = self.body.take() {
            // A user's `Drop` may panic; the run's state does not depend on it.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(body)));
        }
        self.context = None;
    }

    fn definition_of(&self, key: &TaskKey) -> Option<&'static ActivityDefinition> {
        if key.undo {
            let call = self.undoable(&key.op)?.call.as_ref()?;
            (self.identity.resolve)(&call.activity)
        } else {
            self.steps.get(&key.op)?.definition
        }
    }

    /// The definition that a call names, unless it writes through another kind of store: then
    /// the one of its name for this store.
    fn definition_for(&self, code: Option<StepCode>, activity: &str) -> Option<&'static ActivityDefinition> {
        let named = || (self.identity.resolve)(activity);
        match code.map(|code| code.definition) {
            Some(own) if own.is_transaction() => {
                named().filter(|other| other.store_kind() != own.store_kind()).or(Some(own))
            }
            Some(own) => Some(own),
            None => named(),
        }
    }
}
