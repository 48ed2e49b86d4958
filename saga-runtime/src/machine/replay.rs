//! A run from its journal: the same arrivals, in the same order, and nothing leaves the process
//! until the journal is exhausted.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use saga_store::Timestamp;
use saga_store::wire::{Attempted, Entry, OpId, Payload, Record, RunStarted, UndoPlan};

use super::decisions::{describe, same_decision};
use super::forward::OwnWaker;
use super::{HELD, Identity, Machine, Phase, StepState, TaskKey, TimerKey};
use crate::codec;
use crate::context::{Arrival, Context, Decision};
use crate::line::{self, Line};
use crate::seldom::Seldom;
use crate::session;
use crate::workflow::WorkflowDefinition;

/// What only a replay needs to know.
#[derive(Default)]
pub(super) struct Replayed {
    /// Where the run stood when it ended, for an operator may have repaired it.
    pub(super) ended_from: Option<Phase>,
    /// The place of the journal's last entry that a workflow is told of or makes.
    last_word: u64,
    /// Undos that failed for good.
    pub(super) failed_undos: Vec<OpId>,
    /// What an operator says that steps have returned.
    pub(super) given: BTreeMap<OpId, Payload>,
}

/// Why a journal could not be replayed on this build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReplayError(pub(crate) String);

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The same with the record at which it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReplayFailed {
    pub(crate) record: Option<usize>,
    message: String,
}

impl fmt::Display for ReplayFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ReplayError> for ReplayFailed {
    fn from(ReplayError(message): ReplayError) -> Self {
        Self { record: None, message }
    }
}

/// A line of the source behind what was done there.
fn at(line: Option<Line>) -> String {
    line.map(|line| format!(" ({})", line::shown(line))).unwrap_or_default()
}

impl Machine {
    /// Rebuilds a run from its records. A run that has only just started is the shortest case.
    pub(crate) fn replay(
        identity: Arc<Identity>,
        definition: &'static WorkflowDefinition,
        records: &[Record],
    ) -> Result<Self, ReplayFailed> {
        let mut machine = Self::start(identity, definition, records)?;
        machine.take_order(records)?;
        let mut row = 0;
        for (index, record) in records.iter().enumerate() {
            machine.record = index;
            machine.at = machine.at.max(record.at());
            for entry in &record.entries {
                machine.replay_entry(entry, record.at()).map_err(|error| ReplayFailed {
                    record: Some(index),
                    message: format!(
                        "replay of `{}` does not match its journal at record {index}: {error}",
                        machine.identity.workflow
                    ),
                })?;
            }
            row = index;
        }
        let untouched = untouched_since(records);
        let mut aside = records[untouched..].iter().flat_map(|record| &record.entries);
        machine.repaired = aside.any(|entry| matches!(entry, Entry::Repaired(_)));
        machine.finish_replay(row, untouched)?;
        Ok(machine)
    }

    fn start(
        identity: Arc<Identity>,
        definition: &'static WorkflowDefinition,
        records: &[Record],
    ) -> Result<Self, ReplayError> {
        let first = records.first().and_then(|record| record.entries.first().map(|entry| (record.at(), entry)));
        let Some((at, Entry::Started(started))) = first else {
            return Err(ReplayError("the journal does not begin with the start of a run".to_owned()));
        };
        let RunStarted { input, seed, parent, .. } = &**started;
        let relays = session::is_session(&started.workflow).then(Box::default);
        let terms = |entry: &Entry| if let Entry::Started(started) = entry { started.terms.clone() } else { None };
        let copied = records[0].entries.first().and_then(terms).and_then(|terms| terms.copied).unwrap_or(0);
        if (records.len() as u64) <= copied {
            return Err(ReplayError(
                "the copy of another execution's journal was not completed; start the copy again".to_owned(),
            ));
        }
        let entries = || records.iter().flat_map(|record| &record.entries);
        let last_word =
            (0..).zip(entries()).filter(|(_, entry)| concerns_workflow(entry)).last().map_or(0, |(at, _)| at);
        let undoing = entries().any(|entry| matches!(entry, Entry::UndoBegan(_)));
        // A run that is being undone goes by its journal alone: its code may have changed.
        let (body, context) = if undoing {
            (None, None)
        } else {
            let body = (definition.begin)(input).map_err(|error| {
                ReplayError(format!("`{}` cannot read its recorded input: {error}", definition.name))
            })?;
            let mut context =
                Box::new(Context::new(identity.execution, Arc::clone(&identity.workflow), *seed, at, identity.encoder));
            context.set_recorded(
                entries()
                    .filter_map(|entry| match entry {
                        Entry::Value(value) => Some((value.op.clone(), value.value.clone())),
                        _ => None,
                    })
                    .collect(),
            );
            context.set_large(entries().filter_map(|entry| large(entry, identity.encoder.limit)).collect());
            let patches =
                entries().filter_map(|entry| if let Entry::Patched(id) = entry { Some(id.clone()) } else { None });
            context.set_patches(patches.collect());
            (Some(body), Some(context))
        };
        Ok(Self {
            identity,
            phase: Phase::Forward,
            body,
            context,
            steps: super::steps::Steps::default(),
            unsettled: BTreeMap::new(),
            undo: Seldom::default(),
            parent: parent.clone().map(Box::new),
            children: Seldom::default(),
            order: None,
            relays,
            outbox: Vec::new(),
            orphans: Seldom::default(),
            dropped: false,
            pivots: super::pivot::Pivots::default(),
            closing: None,
            next: None,
            left_over: Vec::new(),
            control: super::control::Control::default(),
            replayed: (last_word > 0).then(|| Box::new(Replayed { last_word, ..Replayed::default() })),
            status: None,
            progress: BTreeMap::new(),
            timers: Seldom::default(),
            ready: super::ready::Ready::default(),
            aborts: Vec::new(),
            stopping: super::stopping::Stopping::default(),
            entries: Vec::new(),
            waker: Arc::new(OwnWaker),
            line: None,
            must_commit: false,
            deciding: false,
            change: None,
            at,
            arrived: false,
            repaired: false,
            rebuilt: false,
            position: 0,
            record: 0,
            unconfirmed: Some(VecDeque::new()),
            replayed_ending: None,
        })
    }

    fn replay_entry(&mut self, entry: &Entry, at: Timestamp) -> Result<(), ReplayError> {
        let position = self.position;
        self.position += 1;
        if let Some(context) = &mut self.context {
            context.set_behind(position < self.replayed.as_ref().map_or(0, |replayed| replayed.last_word));
        }
        if is_arrival(entry) {
            self.expect_no_unconfirmed(entry)?;
            if let Some(context) = &mut self.context {
                context.set_now(at);
            }
        }
        match entry {
            Entry::Started(started) => {
                self.agree(started.terms.as_ref());
                self.poll_body();
            }
            Entry::StepEnded(ended) => {
                self.replayed().given.remove(&ended.op);
                let sent = self.returned(&ended.op);
                self.close_step(&ended.op);
                self.undo_from_now(position, &ended.op, sent, ended.undo.as_deref());
                self.replay_arrival(&ended.op, Arrival::Value(ended.output.clone()));
            }
            Entry::StepFailed(failed) if self.is_late(failed) => {
                self.let_go_late(&failed.op);
                self.replay_arrival(&failed.op, Arrival::Failure(Box::new(failed.failure.clone())));
            }
            Entry::StepFailed(failed) => {
                if let Some(step) = self.steps.remove(&failed.op) {
                    self.clear_step_timers(&failed.op, &step);
                    self.note_failed(position, &failed.op, failed.unknown, step);
                }
                self.replay_arrival(&failed.op, self.failure_arrives(failed));
            }
            Entry::Attempted(attempted) => self.replay_attempted(attempted),
            Entry::Progressed(progressed) => self.replay_progress(progressed),
            Entry::Deferred(op, _) => self.replay_deferred(op),
            Entry::TimerFired(op) => {
                self.timers.remove(&TimerKey::Sleep(op.clone()));
                self.replay_arrival(op, Arrival::Fired);
            }
            Entry::EventReceived(event) => self.take_event(event.clone()),
            Entry::ChildEnded(ended) => {
                self.close_child(position, &ended.op, &ended.end, ended.undo.as_deref());
                self.replay_arrival(&ended.op, Arrival::Child(Box::new(ended.end.clone())));
            }
            Entry::UndoEnded(op, _) => self.undo_done(op),
            Entry::UndoBegan(cause) => self.enter_undo(cause.clone(), true),
            Entry::CancelRequested(_) | Entry::Suspended(_) | Entry::Resumed(_) | Entry::Begun => {
                self.replay_request(entry);
            }
            Entry::UndoFailed(failed) => self.replay_undo_failed(failed),
            Entry::Repaired(repair) => self.replay_repair(repair),
            Entry::Concluded(_) => self.replay_end(),
            Entry::Claimed(claimed) => self.taken_by(&claimed.by),
            Entry::Relayed(relayed) => self.relayed(relayed.execution, relayed.cancel),
            Entry::StepScheduled(_)
            | Entry::TimerSet(_)
            | Entry::EventAwaited(..)
            | Entry::Dropped(_)
            | Entry::UndoAdded(..)
            | Entry::ChildScheduled(_)
            | Entry::ChildCancelled(_)
            | Entry::ChildDetached(_)
            | Entry::Pivot(_)
            | Entry::Patched(_)
            | Entry::EventSent(_)
            | Entry::Continued(_)
            | Entry::Value(_) => {
                self.confirm(position, entry)?;
            }
            _ => {}
        }
        self.tell_undone();
        Ok(())
    }

    fn replay_arrival(&mut self, op: &OpId, arrival: Arrival) {
        if let Some(context) = &mut self.context {
            context.arrive(op, arrival);
            self.poll_body();
        }
    }

    fn replay_attempted(&mut self, attempted: &Attempted) {
        let retry_at = Timestamp::from_micros(attempted.retry_at);
        let key = TaskKey { op: attempted.op.clone(), undo: attempted.undo };
        if attempted.undo {
            let Some(item) = self.undoable_mut(&attempted.op) else { return };
            item.attempts = attempted.attempt;
        } else {
            let Some(step) = self.steps.get_mut(&attempted.op) else { return };
            step.attempts = attempted.attempt;
            step.unknown |= attempted.unknown;
            // Its session was lost: what became of it is found out elsewhere.
            if step.errand.is_some() {
                return self.send_elsewhere(&key.op);
            }
            self.steps.set_state(&key.op, StepState::Idle);
        }
        self.timers.set(retry_at, TimerKey::Retry(key));
    }

    /// The journal's next decision must be the code's next one.
    fn confirm(&mut self, position: u64, entry: &Entry) -> Result<(), ReplayError> {
        if self.context.is_none() && self.replayed_ending.is_none() {
            self.apply_decision(position, entry, None);
            return Ok(());
        }
        let decided = self.next_unconfirmed(Some(entry));
        match decided {
            Some(decision) if same_decision(&decision.entry, entry) => {
                self.apply_decision(position, entry, decision.step);
                Ok(())
            }
            Some(decision) => Err(ReplayError(format!(
                "recorded {}, the code now does {}{}",
                describe(entry),
                describe(&decision.entry),
                at(decision.line)
            ))),
            None => Err(ReplayError(format!(
                "recorded {}, the code now does nothing{}",
                describe(entry),
                at(self.line.filter(|_| self.replayed_ending.is_none()))
            ))),
        }
    }

    /// What the code decided next. That a value was too large older builds did not record, so that it
    /// is left out where the journal does not say so.
    fn next_unconfirmed(&mut self, entry: Option<&Entry>) -> Option<Decision> {
        let unconfirmed = self.unconfirmed.as_mut()?;
        loop {
            let decision = unconfirmed.pop_front()?;
            if !is_refusal(&decision.entry) || entry.is_some_and(|entry| same_decision(&decision.entry, entry)) {
                return Some(decision);
            }
        }
    }

    fn expect_no_unconfirmed(&mut self, arrival: &Entry) -> Result<(), ReplayError> {
        match self.next_unconfirmed(None) {
            None => Ok(()),
            Some(decision) => Err(ReplayError(format!(
                "recorded {}, the code now does {} first{}",
                describe(arrival),
                describe(&decision.entry),
                at(decision.line)
            ))),
        }
    }

    /// The journal is exhausted: what the code decides from here on is new.
    /// Only workers and operators have written anything from the record of the number `untouched` on.
    fn finish_replay(&mut self, last_record: usize, untouched: usize) -> Result<(), ReplayError> {
        let new: VecDeque<Decision> = self.unconfirmed.take().unwrap_or_default();
        self.record += 1;
        if matches!(self.phase, Phase::Ended) {
            return Ok(());
        }
        if self.replayed_ending.is_some() && self.is_undoing() {
            return Err(ReplayError(format!("record {last_record}: the run is being undone and its code ran")));
        }
        if let Some(context) = &mut self.context {
            context.set_behind(false);
        }
        self.take_up_open_work();
        self.rebuilt = true;
        let is_copy = self.control.copied > 0 && untouched as u64 <= self.control.copied + 1;
        let sessions = if is_copy { self.children.sessions() } else { Vec::new() };
        if is_copy {
            self.start_copied();
        }
        for decision in new {
            self.decided(decision);
        }
        self.end_copied_sessions(sessions);
        if let Some(ending) = self.replayed_ending.take() {
            self.apply_ending(*ending);
        }
        self.take_given(self.at);
        self.cancel_at_last();
        self.end_order();
        self.advance_undo();
        self.advance_orphans();
        Ok(())
    }

    /// An attempt that had its time when the run was taken up may have been made by the worker before,
    /// and lost with it.
    pub(super) fn doubt_retries(&mut self, now: Timestamp) {
        if !std::mem::take(&mut self.rebuilt) {
            return;
        }
        for key in self.timers.due_retries(now).iter().filter(|key| !key.undo) {
            if let Some(step) = self.steps.get_mut(&key.op) {
                step.unknown |= !step.atomic;
            }
        }
    }

    /// Attempts that may have been running when the worker was lost are made again.
    fn take_up_open_work(&mut self) {
        let waiting: BTreeSet<TaskKey> = self.timers.retries().cloned().collect();
        self.ready.clear();
        for op in self.steps.ops_within(&OpId::root()) {
            let Some(step) = self.steps.get_mut(&op).filter(|step| step.errand.is_none() && !step.is_deferred()) else {
                continue;
            };
            let key = TaskKey { op, undo: false };
            let waits = waiting.contains(&key);
            // Its attempt may have been under way. Of one that waits for the next one, this is seen when
            // the time is known; a point of no return is attempted again at any rate.
            step.unknown |= (!waits || step.pivot) && !step.atomic && step.record != HELD;
            self.steps.set_state(&key.op, StepState::Idle);
            if !waits {
                self.ready.push(key);
            }
        }
        for key in waiting.iter().filter(|key| key.undo) {
            self.undo_begun(&key.op);
        }
    }
}

/// The number of records before those at the end that only workers and operators have written.
fn untouched_since(records: &[Record]) -> usize {
    let aside =
        |record: &&Record| record.entries.iter().all(|entry| matches!(entry, Entry::Claimed(_) | Entry::Repaired(_)));
    records.len() - records.iter().rev().take_while(aside).count()
}

/// Whether a workflow makes it or is told of it. What an older build made of the last such entry is
/// nothing that the journal knows.
fn concerns_workflow(entry: &Entry) -> bool {
    !matches!(
        entry,
        Entry::Claimed(_)
            | Entry::Attempted(_)
            | Entry::Progressed(_)
            | Entry::Deferred(..)
            | Entry::Relayed(_)
            | Entry::EventRefused(..)
            | Entry::Suspended(_)
            | Entry::Resumed(_)
            | Entry::Repaired(_)
            | Entry::Concluded(_)
    )
}

fn is_arrival(entry: &Entry) -> bool {
    matches!(
        entry,
        Entry::StepEnded(_)
            | Entry::StepFailed(_)
            | Entry::TimerFired(_)
            | Entry::EventReceived(_)
            | Entry::CancelRequested(_)
            | Entry::Suspended(_)
            | Entry::Resumed(_)
            | Entry::Begun
            | Entry::ChildEnded(_)
            | Entry::UndoEnded(..)
    )
}

/// Whether it says that what was to be decided was too large.
fn is_refusal(entry: &Entry) -> bool {
    matches!(entry, Entry::Value(value) if codec::refused(&value.value).is_some())
}

/// The place of an entry whose value may be over this limit, also in another format, which may need
/// three times as many bytes.
fn large(entry: &Entry, limit: usize) -> Option<OpId> {
    let known = |undo: &UndoPlan| if let UndoPlan::Known(undo) = undo { undo.input.len() } else { 0 };
    let (op, len) = match entry {
        Entry::StepScheduled(step) => (&step.op, step.input.len().max(known(&step.undo))),
        Entry::ChildScheduled(child) => (&child.op, child.input.len().max(known(&child.undo))),
        Entry::EventSent(sent) => (&sent.op, sent.event.value.len()),
        Entry::UndoAdded(op, undo) => (op, undo.input.len()),
        _ => return None,
    };
    (len > limit as u64 / 4).then(|| op.clone())
}
