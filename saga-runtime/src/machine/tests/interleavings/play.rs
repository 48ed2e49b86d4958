//! Plays a run: whatever may come next, comes in the order that the choices say, and benignly once
//! they are used up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use saga_store::message::{CancelRequest, MessageBody, Relay};
use saga_store::wire::{
    ChildEnd, ChildEnded, Conclusion, Entry, EventMessage, Failure, FailureKind, OpId, Payload, Record, RunStarted,
    StepFailed,
};
use saga_store::{ExecutionId, RunId, Target};

use super::super::super::{AttemptStart, Identity, Machine};
use super::super::all_ready;
use super::super::at;
use super::judge::Judge;
use super::table::{self, Case, Go};
use crate::activity::{AttemptEnd, AttemptFailure};
use crate::classify::Class;
use crate::codec::Encoder;
use crate::errand;
use crate::event::Event;
use crate::session;

/// What may come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    Commit,
    Deliver,
    EndChild,
    EndAttempt,
    Tick,
    Event,
    Resume,
    Cancel,
    Suspend,
    Crash,
}

/// A run that this one has started.
struct Started {
    op: OpId,
    kind: Kind,
    cancelled: bool,
}

enum Kind {
    Child,
    /// It makes the attempts of a step, perhaps within a session.
    Errand(Option<ExecutionId>),
    /// With what it has been told to start, and has not looked at.
    Session(Vec<(ExecutionId, OpId)>),
}

impl Started {
    fn new(op: OpId, kind: Kind) -> Self {
        Self { op, kind, cancelled: false }
    }
}

pub(super) struct Play<'a> {
    case: &'a Case,
    choices: &'a [u8],
    at: usize,
    second: i64,
    machine: Machine,
    pub(super) records: Vec<Record>,
    open: Vec<AttemptStart>,
    /// Sent to this run and not consumed by a record of it.
    mail: Vec<MessageBody>,
    /// Received, and not yet in a durable record.
    received: Vec<MessageBody>,
    started: BTreeMap<ExecutionId, Started>,
    /// What sessions were to start, whatever became of it.
    begun: BTreeSet<ExecutionId>,
    events: u32,
    cancelled: bool,
    pub(super) judge: Judge,
    /// What happened, for the message of a failure.
    pub(super) log: Vec<String>,
}

fn identity(case: &Case) -> Arc<Identity> {
    Arc::new(Identity {
        memo: None,
        encoder: Encoder::default(),
        id: RunId::new("test").unwrap(),
        execution: ExecutionId::from_bytes([7; 16]),
        workflow: (case.definition)().name.into(),
        resolve: Arc::new(table::activity),
        workflows: Arc::new(table::workflow),
    })
}

pub(super) fn replay(case: &Case, records: &[Record]) -> Machine {
    Machine::replay(identity(case), (case.definition)(), records)
        .unwrap_or_else(|error| panic!("{error}\n{records:#?}"))
}

pub(super) fn start(case: &Case) -> Record {
    let started = RunStarted {
        workflow: (case.definition)().name.to_owned(),
        version: 1,
        id: "test".to_owned(),
        input: Payload::json(case.input),
        seed: 42,
        terms: None,
        parent: None,
    };
    Record::new(at(0), vec![Entry::Started(Box::new(started))])
}

impl<'a> Play<'a> {
    /// Goes on from these records, which a worker has left that is gone.
    pub(super) fn from(case: &'a Case, records: Vec<Record>, choices: &'a [u8]) -> Self {
        let machine = replay(case, &records);
        let entries = || records.iter().flat_map(|record| &record.entries);
        let mut play = Self {
            case,
            choices,
            at: 0,
            second: records.last().map_or(0, |record| record.at().as_micros() / 1_000_000),
            machine,
            open: Vec::new(),
            mail: Vec::new(),
            received: Vec::new(),
            started: BTreeMap::new(),
            begun: BTreeSet::new(),
            events: 0,
            cancelled: entries().any(|entry| matches!(entry, Entry::CancelRequested(_))),
            judge: Judge::default(),
            log: Vec::new(),
            records: Vec::new(),
        };
        let sent = play.machine.steps.iter().filter_map(|(op, step)| Some((op.clone(), step.errand.as_ref()?)));
        let sent: Vec<_> =
            sent.map(|(op, sent)| (op, Kind::Errand(sent.session().map(|session| session.execution)))).collect();
        let children = entries().filter_map(|entry| match entry {
            Entry::ChildScheduled(child) => Some((child.op.clone(), child.execution, &child.workflow)),
            _ => None,
        });
        let ended = |op: &OpId| entries().any(|entry| matches!(entry, Entry::ChildEnded(ended) if ended.op == *op));
        let (sessions, children): (Vec<_>, Vec<_>) =
            children.filter(|(op, ..)| !ended(op)).partition(|(_, _, workflow)| session::is_session(workflow));
        for (op, execution, _) in sessions {
            let cancelled = play.machine.children.is_asked_to_stop(&op);
            let kind = Kind::Session(Vec::new());
            play.started.insert(execution, Started { cancelled, ..Started::new(op, kind) });
        }
        let all = sent.into_iter().chain(children.into_iter().map(|(op, ..)| (op, Kind::Child)));
        for (number, (op, kind)) in (0..).zip(all) {
            play.started.insert(ExecutionId::from_bytes([number; 16]), Started::new(op, kind));
        }
        for record in records.clone() {
            play.keep(record);
        }
        play
    }

    /// Plays it to the end.
    pub(super) fn played(mut self) -> Self {
        for _ in 0..3_000 {
            for abort in self.machine.take_aborts() {
                self.open.retain(|attempt| attempt.key != abort);
                self.machine.stopped(&abort);
            }
            let _ = self.machine.take_warned();
            if self.machine.has_ended() && !self.machine.needs_commit() {
                return self;
            }
            if !self.machine.needs_commit() {
                self.dispatch();
                while let Some(start) = self.machine.next_transaction() {
                    self.open.push(start);
                }
            }
            let Some(next) = self.choose_move() else { panic!("nothing can happen any more:\n{}", self.told()) };
            self.log.push(format!("{next:?}"));
            self.make(next);
        }
        panic!("it does not come to an end:\n{}", self.told());
    }

    pub(super) fn told(&self) -> String {
        format!("{}\n{:#?}", self.log.join("\n"), self.records)
    }

    pub(super) fn conclusion(&self) -> &Conclusion {
        match self.records.last().and_then(|record| record.entries.last()) {
            Some(Entry::Concluded(conclusion)) => conclusion,
            other => panic!("the run has not ended: {other:?}\n{}", self.told()),
        }
    }

    pub(super) fn was_cancelled(&self) -> bool {
        self.cancelled
    }

    /// Whether all that it has started and not let go has ended.
    pub(super) fn has_open_children(&self) -> bool {
        self.started.values().any(|started| !matches!(started.kind, Kind::Errand(_)) && !started.cancelled)
    }

    fn is_wild(&self) -> bool {
        self.at < self.choices.len()
    }

    /// One of so many; the first, once the choices are used up.
    fn choose(&mut self, among: usize) -> usize {
        let choice = self.choices.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        usize::from(choice) % among.max(1)
    }

    fn choose_move(&mut self) -> Option<Move> {
        let forward = !self.machine.is_undoing();
        let able = [
            (Move::Commit, self.machine.needs_commit()),
            (Move::Resume, self.machine.is_suspended()),
            (Move::Deliver, !self.mail.is_empty()),
            (Move::EndAttempt, !self.open.is_empty()),
            (Move::EndChild, !self.endable().is_empty()),
            (Move::Tick, self.machine.next_due().is_some()),
            (Move::Event, forward && self.events < 3),
        ];
        let mut able: Vec<Move> = able.into_iter().filter(|(_, able)| *able).map(|(next, _)| next).collect();
        if !self.is_wild() {
            return able.first().copied();
        }
        able.push(Move::Crash);
        if !self.cancelled && forward && self.choose(3) == 1 {
            able.push(Move::Cancel);
        }
        if !self.machine.is_suspended() && self.choose(4) == 1 {
            able.push(Move::Suspend);
        }
        let at = self.choose(able.len());
        able.get(at).copied()
    }

    fn make(&mut self, next: Move) {
        self.second += 1;
        let now = at(self.second);
        let request = || CancelRequest { reason: None };
        match next {
            Move::Commit => {
                let turn = self.machine.take_turn(|| now);
                self.received.clear();
                for message in turn.outbox {
                    let body = MessageBody::from_bytes(&message.body).unwrap();
                    self.sent(&message.to, body);
                }
                self.keep(Record::new(turn.at, turn.entries));
            }
            Move::Deliver => {
                let choice = self.choose(self.mail.len());
                let message = self.mail.remove(choice);
                self.received.push(message.clone());
                self.machine.receive(message, now);
                if !self.machine.needs_commit() {
                    self.received.clear();
                }
            }
            Move::EndChild => self.end_child(),
            Move::EndAttempt => {
                let choice = self.choose(self.open.len());
                let attempt = self.open.swap_remove(choice);
                let end = self.end_of(&attempt);
                self.log.push(format!("    {} of {}: {end:?}", attempt.definition.name, attempt.key.op));
                if let Err(AttemptFailure {
                    class: Class::Permanent | Class::Transient { no_effect: true, .. }, ..
                }) = end
                    && !attempt.key.undo
                {
                    self.judge.did_nothing(&attempt.key.op);
                }
                self.machine.attempt_ended(&attempt.key, end, now, 0.5);
            }
            Move::Tick => {
                let due = self.machine.next_due().map_or(0, |due| due.as_micros() / 1_000_000 + 1);
                self.second = self.second.max(due);
                self.machine.fire(at(self.second));
            }
            Move::Event => {
                self.events += 1;
                let value = Payload::json(format!(r#"{{"number":{}}}"#, self.events));
                self.mail.push(MessageBody::Event(EventMessage { name: Go::NAME.to_owned(), value }));
            }
            Move::Cancel => {
                self.cancelled = true;
                self.mail.push(MessageBody::Cancel(request()));
            }
            Move::Suspend => self.receive_now(MessageBody::Suspend(request())),
            Move::Resume => self.receive_now(MessageBody::Resume(request())),
            Move::Crash => {
                self.open.clear();
                self.mail.append(&mut self.received);
                self.machine = replay(self.case, &self.records);
            }
        }
    }

    fn receive_now(&mut self, message: MessageBody) {
        self.received.push(message.clone());
        self.machine.receive(message, at(self.second));
    }

    fn dispatch(&mut self) {
        let starts: Vec<AttemptStart> = all_ready(&mut self.machine).collect();
        for start in starts {
            self.judge.begins(&self.records, &start.key.op, start.key.undo);
            self.open.push(start);
        }
    }

    fn keep(&mut self, record: Record) {
        self.judge.keep(&record);
        self.records.push(record);
    }

    fn sent(&mut self, to: &Target, body: MessageBody) {
        let Target::Execution(execution) = to else { return };
        match body {
            MessageBody::StartChild(start) => {
                let within = start.child.terms.and_then(|terms| Some(terms.session?.execution));
                let op = start.child.op;
                let kind = match &start.child.workflow {
                    name if errand::is_errand(name) => Kind::Errand(within),
                    name if session::is_session(name) => Kind::Session(Vec::new()),
                    _ => Kind::Child,
                };
                if within.is_some() {
                    // Its session may have started it already.
                    let is_there = self.begun.contains(execution) || self.started.values().any(|there| there.op == op);
                    if !is_there {
                        self.started.insert(*execution, Started::new(op, kind));
                    }
                    return;
                }
                let before = self.started.insert(*execution, Started::new(op, kind));
                assert!(before.is_none(), "started twice:\n{}", self.told());
            }
            MessageBody::Relay(relay) => self.relayed(*execution, relay),
            MessageBody::Event(event) if event.name == session::END => {
                if let Some(session) = self.started.get_mut(execution) {
                    session.cancelled = true;
                }
            }
            MessageBody::Cancel(_) | MessageBody::Terminate(_) => {
                if let Some(started) = self.started.get_mut(execution) {
                    started.cancelled = true;
                }
            }
            _ => {}
        }
    }

    /// A session is told to send something on.
    fn relayed(&mut self, session: ExecutionId, relay: Relay) {
        let waits = self.is_wild() && self.choose(2) == 1;
        let Some(Started { kind: Kind::Session(held), .. }) = self.started.get_mut(&session) else { return };
        match relay {
            Relay::Start(start) => {
                let (execution, op) = (start.child.execution, start.child.op);
                held.push((execution, op));
                if !waits {
                    self.look_at(session);
                }
            }
            Relay::Cancel { execution, .. } => {
                if let Some(started) = self.started.get_mut(&execution) {
                    started.cancelled = true;
                }
            }
            other => panic!("{other:?}"),
        }
    }

    /// A session starts what it was told to.
    fn look_at(&mut self, session: ExecutionId) {
        let Some(Started { kind: Kind::Session(held), .. }) = self.started.get_mut(&session) else { return };
        for (execution, op) in std::mem::take(held) {
            self.begun.insert(execution);
            self.started.insert(execution, Started::new(op, Kind::Errand(Some(session))));
        }
    }

    /// What of all that it has started can end, or do something.
    fn endable(&self) -> Vec<ExecutionId> {
        let able = |started: &Started| match &started.kind {
            Kind::Session(held) => !held.is_empty() || started.cancelled || self.is_wild(),
            _ => true,
        };
        self.started.iter().filter(|(_, started)| able(started)).map(|(execution, _)| *execution).collect()
    }

    fn end_session(&mut self, execution: ExecutionId) {
        let is_lost = self.is_wild() && self.choose(2) == 1;
        if !is_lost {
            self.look_at(execution);
        }
        let Some(session) = self.started.get(&execution).filter(|session| is_lost || session.cancelled) else { return };
        let end = if is_lost {
            ChildEnd::Failed { error: Payload::json("null"), message: "its worker has gone".to_owned() }
        } else {
            ChildEnd::Completed(Payload::json("null"))
        };
        self.log.push(format!("    session {}: {end:?}", session.op));
        self.mail.push(MessageBody::ChildEnded(ChildEnded { op: session.op.clone(), end, undo: None }));
        self.started.remove(&execution);
    }

    fn end_child(&mut self) {
        let able = self.endable();
        let choice = self.choose(able.len());
        let Some(execution) = able.get(choice).copied() else { return };
        if self.started.get(&execution).is_some_and(|started| matches!(started.kind, Kind::Session(_))) {
            return self.end_session(execution);
        }
        let ends = if self.is_wild() { self.choose(6) } else { 0 };
        let of = self.started.get(&execution).and_then(|started| match started.kind {
            Kind::Errand(session) => session,
            _ => None,
        });
        let lost = of.is_some_and(|session| !self.started.contains_key(&session));
        let Some(started) = self.started.remove(&execution) else { return };
        let op = started.op;
        let message = "chosen to fail".to_owned();
        let end = match ends {
            _ if lost => {
                let error = errand::lost(op.clone(), 0, ends % 2 == 1, message.clone()).unwrap();
                ChildEnd::Failed { error, message }
            }
            1 | 2 if started.cancelled => ChildEnd::Cancelled,
            3 if matches!(started.kind, Kind::Errand(_)) => {
                let failure = Failure { kind: FailureKind::TimedOut, message: message.clone(), error: None };
                let failed = StepFailed { op: op.clone(), attempt: 1, failure, unknown: false };
                ChildEnd::Failed { error: errand::report(failed).unwrap(), message }
            }
            3 => ChildEnd::Failed { error: Encoder::default().encode(&crate::Error::msg(&message)).unwrap(), message },
            _ => ChildEnd::Completed(Payload::json("1")),
        };
        self.log.push(format!("    child {op}: {end:?}"));
        self.mail.push(MessageBody::ChildEnded(ChildEnded { op, end, undo: None }));
    }

    fn end_of(&mut self, attempt: &AttemptStart) -> AttemptEnd {
        let failed = |class| Err(AttemptFailure::engine(FailureKind::Panicked, class, "chosen to fail"));
        let ends = if self.is_wild() { self.choose(8) } else { 0 };
        match ends {
            1 => failed(Class::TRANSIENT),
            2 => failed(Class::Transient { no_effect: true, retry_after: None }),
            // An undo that fails for good needs an operator.
            3 if !attempt.key.undo => failed(Class::Permanent),
            _ => Ok(Payload::json(if attempt.key.undo { "null" } else { "1" })),
        }
    }
}
