//! Steps that one worker makes, all of them: the run that has them, and the session, which is a run
//! itself.
//!
//! The session starts what makes their attempts, since only what its worker starts is that worker's
//! from the beginning. What it may not have sent on when it ended its parent sends itself: whoever
//! gets that finds no session and says so.

use std::collections::{BTreeSet, VecDeque};

use saga_store::message::{CancelRequest, EventMessage, MessageBody, Relay};
use saga_store::wire::{Attempted, ChildEnd, Conclusion, Entry, InSession, OpId, Payload, Relayed, StepFailed};
use saga_store::{ExecutionId, Target, Timestamp};

use super::Machine;
use crate::errand;
use crate::session;

/// What a session knows of itself.
#[derive(Debug, Default)]
pub(super) struct Relays {
    /// The worker that has it.
    pub(super) opened_by: Option<String>,
    /// What is not needed any more, perhaps before it was started.
    pub(super) recalled: BTreeSet<ExecutionId>,
}

// The run that has the steps.
impl Machine {
    /// The session of a step, if that is not over.
    pub(super) fn open_session(&self, session: &InSession) -> Option<InSession> {
        let execution = self.children.execution_of(&session.op)?;
        Some(InSession { op: session.op.clone(), execution })
    }

    /// A session has ended: its steps are sent once more, in case that it did not.
    pub(super) fn session_ended(&mut self, session: &OpId) {
        for (op, recalled) in self.steps_of(session) {
            self.post_errand(&op);
            if recalled {
                self.post_recall(&op);
            }
        }
    }

    fn steps_of(&self, session: &OpId) -> Vec<(OpId, bool)> {
        let sent = self.steps.iter().filter_map(|(op, step)| Some((op, step.errand.as_ref()?)));
        let within = sent.filter(|(_, sent)| sent.session().is_some_and(|of| of.op == *session));
        within.map(|(op, sent)| (op.clone(), sent.is_recalled())).collect()
    }

    /// Sessions that were copied from another execution are over: their workers knew that one.
    pub(super) fn end_copied_sessions(&mut self, sessions: Vec<OpId>) {
        for op in sessions {
            if !self.has_ended() {
                self.child_ended(&op, ChildEnd::Terminated, self.at);
            }
        }
    }

    /// The run ends, and nobody will use its sessions any more.
    pub(super) fn end_sessions(&mut self) {
        for op in self.children.sessions() {
            self.cancel_child(&op);
        }
    }

    /// Asks a session to end. What is under way in it goes on.
    pub(super) fn end_session(&mut self, op: &OpId, execution: ExecutionId) {
        let end = EventMessage { name: session::END.to_owned(), value: Payload::json("null") };
        self.post(op, "end", Target::Execution(execution), &MessageBody::Event(end));
    }

    /// What became of a step must be known, and its session is lost: any worker of the queue finds out.
    pub(super) fn settle_elsewhere(&mut self, failed: StepFailed, now: Timestamp) {
        self.open_turn(now);
        let StepFailed { op, attempt, failure, .. } = failed;
        let retry_at = now.as_micros();
        let attempted = Attempted { op: op.clone(), attempt, failure, unknown: true, retry_at, undo: false };
        self.push(Entry::Attempted(attempted));
        self.send_elsewhere(&op);
    }

    /// Sends a step to any worker of its queue.
    pub(super) fn send_elsewhere(&mut self, op: &OpId) {
        if let Some(sent) = self.steps.get_mut(op).and_then(|step| step.errand.as_mut()) {
            sent.leave_session();
        }
        self.send_errand(op, true);
    }
}

// The session.
impl Machine {
    /// Whether it stays with its worker for as long as it lasts: a session, and what makes attempts
    /// within one.
    pub(crate) fn is_bound(&self) -> bool {
        self.relays.is_some() || self.session().is_some()
    }

    /// Whether it is a session.
    pub(crate) fn is_session(&self) -> bool {
        self.relays.is_some()
    }

    /// The run that has begun the session.
    pub(crate) fn begun_by(&self) -> Option<ExecutionId> {
        self.parent.as_ref().map(|parent| parent.execution)
    }

    /// The worker that has the session, once one does.
    pub(crate) fn opened_by(&self) -> Option<&str> {
        self.relays.as_ref()?.opened_by.as_deref()
    }

    /// Sends on what its parent has asked for.
    pub(super) fn relay(&mut self, relay: Relay, now: Timestamp) {
        let (op, execution, cancel) = match &relay {
            Relay::Start(start) => (&start.parent.op, start.child.execution, false),
            Relay::Cancel { op, execution, .. } => (op, *execution, true),
            other => return self.park(now, format!("this build does not know how to send on {other:?}")),
        };
        let op = op.clone();
        self.open_turn(now);
        self.push(Entry::Relayed(Relayed { op: op.clone(), execution, cancel }));
        let to = Target::Execution(execution);
        let recalled = self.relays.as_ref().is_some_and(|relays| relays.recalled.contains(&execution));
        match relay {
            Relay::Start(start) => {
                self.post(&op, &format!("start {execution}"), to.clone(), &MessageBody::StartChild(*start));
                if recalled {
                    let request = CancelRequest { reason: Some("it was not needed any more".to_owned()) };
                    self.post(&op, &format!("cancel {execution}"), to, &MessageBody::Cancel(request));
                }
            }
            Relay::Cancel { request, .. } => {
                self.relayed(execution, true);
                self.post(&op, &format!("cancel {execution}"), to, &MessageBody::Cancel(request));
            }
            _ => {}
        }
    }

    /// A worker has the session from here on, if it has begun: what comes before is of those who left it
    /// to others.
    pub(super) fn taken_by(&mut self, worker: &str) {
        let has_begun = self.unconfirmed.as_ref().is_none_or(VecDeque::is_empty);
        if let Some(relays) = self.relays.as_mut().filter(|_| has_begun) {
            relays.opened_by.get_or_insert_with(|| worker.to_owned());
        }
    }

    /// The session has sent this on.
    pub(super) fn relayed(&mut self, execution: ExecutionId, cancel: bool) {
        if let Some(relays) = self.relays.as_mut().filter(|_| cancel) {
            relays.recalled.insert(execution);
        }
    }

    /// Its worker is gone.
    pub(crate) fn lose_session(&mut self, now: Timestamp) {
        if !self.has_ended() {
            let by = self.opened_by().unwrap_or("its worker").to_owned();
            self.open_turn(now);
            self.drop_body();
            let message = format!("the session was {by}'s, which has gone or was stopped");
            self.conclude(Conclusion::Failed { error: Payload::json("null"), message });
        }
    }

    /// The worker of a run that is bound to it stops.
    pub(crate) fn unbind(&mut self, now: Timestamp) {
        if self.is_session() {
            self.lose_session(now);
        } else {
            self.leave_session(true, now);
        }
    }

    /// The session for which this run makes attempts.
    pub(crate) fn session(&self) -> Option<ExecutionId> {
        self.order.as_ref()?.session
    }

    /// The session for which this run makes attempts is not here. `tried` if its journal says that
    /// there may have been one.
    pub(crate) fn leave_session(&mut self, tried: bool, now: Timestamp) {
        if self.has_ended() || self.is_undoing() {
            return;
        }
        let Some(order) = &self.order else { return };
        let step = self.steps.iter().next();
        let unknown = order.unknown || tried && step.is_none_or(|(_, step)| !step.atomic);
        let attempt = step.map_or(0, |(_, step)| step.attempts);
        let (op, activity) = step.map_or((OpId::root(), "it"), |(op, step)| (op.clone(), &*step.activity));
        let perhaps = if unknown { "it may have been attempted" } else { "it was not attempted" };
        let message = format!(
            "`{activity}`: the session is over, or its worker has gone; {perhaps}; begin another session for what is left"
        );
        self.open_turn(now);
        self.drop_body();
        match errand::lost(op, attempt, unknown, message.clone()) {
            Ok(error) => self.conclude(Conclusion::Failed { error, message }),
            Err(error) => self.park(now, format!("{message}; that cannot be recorded: {error}")),
        }
    }
}
