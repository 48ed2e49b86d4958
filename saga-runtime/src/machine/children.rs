//! Child runs: started and cancelled through the outbox, waited for by message.
//!
//! A child that has not ended stands in the undo log as a step whose undo needs its output: what
//! came before it is undone only after it has ended. How it ended then says what there is to undo.

use std::collections::{BTreeMap, BTreeSet};

use saga_store::message::{MessageBody, Relay};
use saga_store::wire::{
    CancelRequest, ChildEnd, ChildEnded, ChildScheduled, ChildStart, Conclusion, Entry, EventSent, OpId, Parent,
    ParentEnd, Recipient, Record, UndoPlan, UndoStep,
};
use saga_store::{ExecutionId, Message, RunId, Target, Timestamp};

use super::{Machine, Phase};
use crate::context::Arrival;
use crate::derive;
use crate::seldom::Empty;
use crate::session;

/// A child that has not ended.
#[derive(Debug)]
pub(super) struct Child {
    scheduled: ChildScheduled,
    /// The workflow has let go of it.
    detached: bool,
    /// It was asked to stop.
    cancelled: bool,
    /// This run, or a dropped branch of it, waits for its end to be final.
    ending: bool,
}

impl Child {
    /// A session is no step: nobody waits for it, and there is nothing to undo.
    fn is_session(&self) -> bool {
        session::is_session(&self.scheduled.workflow)
    }

    fn is_awaited(&self) -> bool {
        !self.detached || self.ending
    }
}

/// The children that have not ended, and how many of them are waited for.
#[derive(Debug, Default)]
pub(super) struct Children {
    open: BTreeMap<OpId, Child>,
    awaited: usize,
    ending: usize,
}

impl Empty for Children {
    fn empty() -> &'static Self {
        static EMPTY: Children = Children { open: BTreeMap::new(), awaited: 0, ending: 0 };
        &EMPTY
    }
}

impl Children {
    fn get(&self, op: &OpId) -> Option<&Child> {
        self.open.get(op)
    }

    /// The journal of a child that has not ended.
    pub(super) fn execution_of(&self, op: &OpId) -> Option<ExecutionId> {
        Some(self.get(op)?.scheduled.execution)
    }

    /// Whether a child that has not ended was asked to.
    pub(super) fn is_asked_to_stop(&self, op: &OpId) -> bool {
        self.get(op).is_some_and(|child| child.cancelled)
    }

    /// Those that have not ended.
    pub(super) fn executions(&self) -> Vec<(OpId, ExecutionId)> {
        self.open.iter().map(|(op, child)| (op.clone(), child.scheduled.execution)).collect()
    }

    /// The sessions that have not ended.
    pub(super) fn sessions(&self) -> Vec<OpId> {
        self.open.iter().filter(|(_, child)| child.is_session()).map(|(op, _)| op.clone()).collect()
    }

    fn insert(&mut self, op: OpId, child: Child) {
        self.awaited += usize::from(child.is_awaited());
        self.ending += usize::from(child.ending);
        self.open.insert(op, child);
    }

    fn remove(&mut self, op: &OpId) -> Option<Child> {
        let child = self.open.remove(op)?;
        self.awaited -= usize::from(child.is_awaited());
        self.ending -= usize::from(child.ending);
        Some(child)
    }

    fn change<R>(&mut self, op: &OpId, change: impl FnOnce(&mut Child) -> R) -> Option<R> {
        let child = self.open.get_mut(op)?;
        self.awaited -= usize::from(child.is_awaited());
        self.ending -= usize::from(child.ending);
        let changed = change(child);
        self.awaited += usize::from(child.is_awaited());
        self.ending += usize::from(child.ending);
        Some(changed)
    }
}

/// What tells a parent that its child has ended; nothing if this is not the child's end.
pub(crate) fn end_message(
    parent: &Parent,
    child: ExecutionId,
    conclusion: &Conclusion,
    at: Timestamp,
) -> Option<Message> {
    let ended = ChildEnded { op: parent.op.clone(), end: ChildEnd::of(conclusion)?, undo: None };
    Some(Message {
        id: derive::message(child, &parent.op, "ended", at),
        to: Target::Execution(parent.execution),
        body: MessageBody::ChildEnded(ended).to_bytes(),
    })
}

/// What is to be sent when somebody ends a run from outside, as its journal has it: its parent is
/// told, and its children end as they were to end with it.
pub(crate) fn farewells(
    execution: ExecutionId,
    journal: &[Record],
    conclusion: &Conclusion,
    at: Timestamp,
) -> Vec<Message> {
    let entries = || journal.iter().flat_map(|record| &record.entries);
    let started = entries().find_map(|entry| match entry {
        Entry::Started(started) => Some(started),
        _ => None,
    });
    let parent = started.and_then(|started| started.parent.as_ref());
    let mut messages: Vec<Message> =
        parent.and_then(|parent| end_message(parent, execution, conclusion, at)).into_iter().collect();
    let ends_all = matches!(conclusion, Conclusion::Terminated(_));
    let mut open: BTreeMap<&OpId, (ExecutionId, ParentEnd)> = BTreeMap::new();
    let mut in_sessions: BTreeMap<&OpId, ExecutionId> = BTreeMap::new();
    let mut kept: BTreeSet<&OpId> = BTreeSet::new();
    for entry in entries() {
        match entry {
            // Nobody will use its sessions, however it ends.
            Entry::ChildScheduled(child) if ends_all || session::is_session(&child.workflow) => {
                open.insert(&child.op, (child.execution, child.at_end.unwrap_or(ParentEnd::Cancel)));
                kept.extend(child.at_end.map(|_| &child.op));
            }
            Entry::StepScheduled(step) if ends_all => {
                let errand = step.errand.as_ref();
                open.extend(errand.map(|errand| (&step.op, (errand.execution, ParentEnd::Terminate))));
                let session = errand.and_then(|errand| errand.session.as_ref());
                in_sessions.extend(session.map(|session| (&step.op, session.execution)));
            }
            // What became of it is being found out by another run.
            Entry::Attempted(attempted) if !attempted.undo => {
                if let Some((errand, _)) = open.get_mut(&attempted.op) {
                    *errand = derive::settling(*errand, &attempted.op);
                }
                in_sessions.remove(&attempted.op);
            }
            Entry::StepEnded(ended) => drop(open.remove(&ended.op)),
            Entry::StepFailed(failed) => drop(open.remove(&failed.op)),
            Entry::ChildDetached(op) if !kept.contains(op) => drop(open.remove(op)),
            Entry::ChildEnded(ended) => {
                open.remove(&ended.op);
            }
            _ => {}
        }
    }
    let name = started.map(|started| started.id.as_str()).unwrap_or_default();
    let request = || CancelRequest { reason: Some(format!("its parent {name} has ended")) };
    // What a session has not started yet it is to start and to stop, and hears of that before its own end.
    for (op, session) in in_sessions {
        if let Some((child, _)) = open.get(op) {
            let relay = Relay::Cancel { op: op.clone(), execution: *child, request: request() };
            let (id, body) = (derive::message(execution, op, "recall", at), MessageBody::Relay(relay));
            messages.push(Message { id, to: Target::Execution(session), body: body.to_bytes() });
        }
    }
    for (op, (child, end)) in open {
        let request = request();
        let (what, body) = match end {
            ParentEnd::Abandon => continue,
            ParentEnd::Terminate => ("terminate", MessageBody::Terminate(request)),
            _ => ("cancel", MessageBody::Cancel(request)),
        };
        let id = derive::message(execution, op, what, at);
        messages.push(Message { id, to: Target::Execution(child), body: body.to_bytes() });
    }
    messages
}

impl Machine {
    /// Whether it waits for a child to end.
    pub(crate) fn awaits_children(&self) -> bool {
        self.children.awaited > 0 || self.steps.some_sent()
    }

    /// A child was scheduled at this position.
    pub(super) fn open_child(&mut self, position: u64, scheduled: &ChildScheduled) {
        self.post_start(scheduled);
        let mut child = Child { scheduled: scheduled.clone(), detached: false, cancelled: false, ending: false };
        if child.is_session() {
            child.detached = true;
        } else {
            self.undo.scheduled(position, &scheduled.op, &UndoPlan::FromOutput);
        }
        self.children.insert(scheduled.op.clone(), child);
    }

    fn post_start(&mut self, scheduled: &ChildScheduled) {
        let start = ChildStart {
            child: scheduled.clone(),
            parent: Parent {
                execution: self.identity.execution,
                op: scheduled.op.clone(),
                id: self.identity.id.as_str().to_owned(),
            },
            seed: derive::seed(self.identity.execution, &scheduled.op),
            replaces: self.control.forked.then_some(true),
        };
        // The id is checked by whoever delivers the start: here it only names the target.
        self.post(&scheduled.op, "start", Target::Execution(scheduled.execution), &MessageBody::StartChild(start));
    }

    /// This run begins with a part of another one's journal: what that one had started and not seen
    /// the end of is started for this one, by the ids that the copy was given.
    pub(super) fn start_copied(&mut self) {
        let held = self.children.open.values().filter(|child| !child.detached);
        let held: Vec<_> = held.map(|child| (child.scheduled.clone(), child.cancelled)).collect();
        for (scheduled, cancelled) in held {
            self.post_start(&scheduled);
            if cancelled {
                self.children.change(&scheduled.op, |child| child.cancelled = false);
                self.cancel_child(&scheduled.op);
            }
        }
        let sent = self.steps.iter().filter_map(|(op, step)| Some((op.clone(), step.errand.as_ref()?.is_recalled())));
        let sent: Vec<_> = sent.collect();
        for (op, recalled) in sent {
            self.send_errand(&op, recalled);
        }
    }

    /// Sends a message with the record that is being made. In a replay it was sent before.
    pub(super) fn post(&mut self, op: &OpId, what: &str, to: Target, body: &MessageBody) {
        if self.unconfirmed.is_some() {
            return;
        }
        let id = derive::message(self.identity.execution, op, what, self.at);
        self.outbox.push(Message { id, to, body: body.to_bytes() });
        self.must_commit = true;
    }

    /// Sends an event with the record that is being made: to a child, if it has not ended.
    pub(super) fn send_event(&mut self, sent: &EventSent) {
        let to = match &sent.to {
            Recipient::Run(id) => RunId::new(id).ok().map(Target::Run),
            Recipient::Child(op) => self.children.get(op).map(|child| Target::Execution(child.scheduled.execution)),
            _ => None,
        };
        if let Some(to) = to {
            self.post(&sent.op, "event", to, &MessageBody::Event(sent.event.clone()));
        }
    }

    /// The workflow asks a child to stop.
    pub(super) fn cancel_child(&mut self, op: &OpId) {
        let cancelled = |child: &mut Child| {
            let first = !std::mem::replace(&mut child.cancelled, true);
            first.then_some((child.scheduled.execution, child.is_session()))
        };
        let Some((execution, is_session)) = self.children.change(op, cancelled).flatten() else { return };
        if is_session {
            return self.end_session(op, execution);
        }
        let to = Target::Execution(execution);
        let reason = Some(format!("its parent {} cancelled it", self.identity.id));
        self.post(op, "cancel", to, &MessageBody::Cancel(CancelRequest { reason }));
    }

    /// The workflow has let go of a child.
    pub(super) fn detach_child(&mut self, op: &OpId) {
        let detached = |child: &mut Child| {
            child.detached = true;
            child.scheduled.at_end.is_none()
        };
        if self.children.change(op, detached) == Some(true) {
            self.undo_done(op);
        }
    }

    /// The run, or the branch that started the child, comes to its end.
    fn end_with_parent(&mut self, op: &OpId) {
        let Some(child) = self.children.get(op) else { return };
        if child.is_session() {
            return self.cancel_child(op);
        }
        let otherwise = if child.detached { ParentEnd::Abandon } else { ParentEnd::Cancel };
        match child.scheduled.at_end.unwrap_or(otherwise) {
            ParentEnd::Terminate => {
                let ends = |child: &mut Child| {
                    (!std::mem::replace(&mut child.ending, true)).then_some(child.scheduled.execution)
                };
                if let Some(execution) = self.children.change(op, ends).flatten() {
                    let to = Target::Execution(execution);
                    let reason = Some(format!("its parent {} ends", self.identity.id));
                    self.post(op, "terminate", to, &MessageBody::Terminate(CancelRequest { reason }));
                }
            }
            ParentEnd::Abandon => {
                self.children.change(op, |child| child.detached = true);
                self.undo_done(op);
            }
            _ => {
                self.children.change(op, |child| child.ending = true);
                self.cancel_child(op);
            }
        }
    }

    /// Ends the children of a scope that comes to its end.
    pub(super) fn end_children(&mut self, scope: &OpId) {
        let from = self.children.open.range(scope..).map(|(op, _)| op);
        let within: Vec<OpId> = from.take_while(|op| op.is_within(scope)).cloned().collect();
        for op in within {
            self.end_with_parent(&op);
        }
    }

    /// Whether a child has to end before this run does.
    pub(super) fn has_ending_children(&self) -> bool {
        self.children.ending > 0
    }

    /// A child has ended, as its message says.
    pub(super) fn child_ended(&mut self, op: &OpId, end: ChildEnd, now: Timestamp) {
        let Some(child) = self.children.get(op) else { return self.errand_ended(op, end, now) };
        let undo = match self.undo_of_child(child, &end) {
            Ok(undo) => undo,
            Err(reason) => return self.park(now, reason),
        };
        let (ending, is_session) = (child.ending, child.is_session());
        self.open_turn(now);
        let position = self.position;
        self.push(Entry::ChildEnded(Box::new(ChildEnded { op: op.clone(), end: end.clone(), undo: undo.clone() })));
        self.close_child(position, op, &end, undo.as_deref());
        if is_session {
            self.session_ended(op);
        }
        match end {
            ChildEnd::Dead { reason } if ending => {
                let reason = format!("child {op} is to be undone, and needs an operator itself: {reason}");
                self.drop_body();
                self.conclude(Conclusion::Dead { reason });
            }
            end => self.resume(op, Arrival::Child(Box::new(end))),
        }
    }

    /// The undo of a child that has completed, where it needs the output.
    fn undo_of_child(&self, child: &Child, end: &ChildEnd) -> Result<Option<Box<UndoStep>>, String> {
        let (ChildEnd::Completed(output), UndoPlan::FromOutput) = (end, &child.scheduled.undo) else {
            return Ok(None);
        };
        let ChildScheduled { op, workflow, version, input, .. } = &child.scheduled;
        let definition = (self.identity.workflows)(workflow, *version).ok_or_else(|| {
            format!("this worker has no workflow `{workflow}` of version {version}, whose undo child {op} needs")
        })?;
        let undo = definition.undo_for(input, output, self.identity.encoder);
        undo.map_err(|error| format!("the undo of child {op} `{workflow}` cannot be recorded: {error}"))
    }

    /// What the end of a child does to the run's state, live and in a replay alike.
    pub(super) fn close_child(&mut self, position: u64, op: &OpId, end: &ChildEnd, undo: Option<&UndoStep>) {
        let Some(child) = self.children.remove(op) else { return };
        let known = match &child.scheduled.undo {
            UndoPlan::Known(step) => Some(&**step),
            _ => undo,
        };
        match (end, known) {
            (ChildEnd::Completed(_), Some(step)) if !child.detached => self.undo_known(position, op, Some(step)),
            _ => self.undo_done(op),
        }
    }

    /// Tells this run's own parent that it has ended.
    pub(super) fn tell_parent(&mut self, conclusion: &Conclusion) {
        if let Some(parent) = &self.parent {
            self.outbox.extend(end_message(parent, self.identity.execution, conclusion, self.at));
        }
    }

    /// Somebody ends the run without undo.
    pub(super) fn terminate(&mut self, request: CancelRequest, now: Timestamp) {
        if matches!(self.phase, Phase::Ended) {
            return;
        }
        self.open_turn(now);
        self.drop_body();
        self.terminate_errands();
        self.end_children(&OpId::root());
        self.conclude(Conclusion::Terminated(request));
    }
}
