//! Steps whose attempts another run makes, on a worker of a queue; and such a run itself.
//!
//! To the run that sent it a step stays a step: it has its place in the undo log, its deadline and
//! its end in the journal. Nothing of it, or before it, is undone until it is known what became of
//! it, and only the run that makes the attempts knows that. That run ends as cancelled if surely
//! nothing was attempted, and as terminated or dead if nobody knows.

use std::sync::Arc;
use std::time::Duration;

use saga_store::message::{CancelRequest, MessageBody, Relay};
use saga_store::wire::{
    ChildEnd, ChildScheduled, ChildStart, Entry, Errand, Failure, FailureKind, InSession, OpId, Parent, Payload,
    Record, StartTerms, StepFailed, UndoCause, UndoPlan, UndoStep, decode,
};
use saga_store::{ExecutionId, Target, Timestamp};

use super::{Machine, Phase, Step, StepState, TaskKey, TimerKey};
use crate::activity::{OnBehalf, RetryPolicy};
use crate::context::Arrival;
use crate::derive;
use crate::errand::{self, Terms};

/// What a run knows of a step that it has sent to a queue.
#[derive(Debug)]
pub(super) struct Sent {
    errand: Errand,
    /// How the step is undone.
    pub(super) plan: UndoPlan,
    /// It was asked to stop.
    recalled: bool,
    /// How often it was sent again, to find out what became of the step.
    again: u32,
}

impl Sent {
    pub(super) fn new(errand: Errand, plan: UndoPlan) -> Self {
        Self { errand, plan, recalled: false, again: 0 }
    }

    /// Whether it was asked to stop.
    pub(super) fn is_recalled(&self) -> bool {
        self.recalled
    }

    /// The run that makes the attempts.
    pub(super) fn execution(&self) -> ExecutionId {
        self.errand.execution
    }

    /// The session that it is part of.
    pub(super) fn session(&self) -> Option<&InSession> {
        self.errand.session.as_ref()
    }

    /// Its session is lost.
    pub(super) fn leave_session(&mut self) {
        self.errand.session = None;
    }

    /// Whether it must be known how the step ended before the run can be undone.
    pub(super) fn needs_output(&self, step: &Step) -> bool {
        step.pivot || matches!(self.plan, UndoPlan::FromOutput)
    }
}

/// For whom a run makes the attempts of a step, and how.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, not a state")]
pub(super) struct Order {
    pub(super) on_behalf: Arc<OnBehalf>,
    retry: RetryPolicy,
    timeout: Duration,
    /// The idempotency key that the call has set.
    pub(super) key: Option<Arc<str>>,
    pub(super) default_timeout: bool,
    pub(super) settle: bool,
    pub(super) unknown: bool,
    pub(super) pivot: bool,
    /// The session that the step is part of.
    pub(super) session: Option<ExecutionId>,
}

impl Order {
    pub(super) fn retry(&self) -> RetryPolicy {
        if self.unknown { RetryPolicy::UNDO } else { self.retry }
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }
}

// The run that sends.
impl Machine {
    /// Sends a step to its queue, if it has one; `again` if that is to find out what became of it.
    pub(super) fn send_errand(&mut self, op: &OpId, again: bool) {
        if again {
            let session = self.steps.get(op).and_then(|step| step.errand.as_ref()?.session());
            let session = session.and_then(|session| self.open_session(session));
            let Some(sent) = self.steps.get_mut(op).and_then(|step| step.errand.as_mut()) else { return };
            sent.errand.execution = derive::settling(sent.errand.execution, op);
            sent.errand.session = session;
            sent.recalled = false;
            sent.again += 1;
        }
        self.post_errand(op);
    }

    /// Posts the start of the run that makes a step's attempts: by its session, if that is open.
    pub(super) fn post_errand(&mut self, op: &OpId) {
        if self.unconfirmed.is_some() {
            return;
        }
        let Some(step) = self.steps.get(op) else { return };
        let Some(sent) = &step.errand else { return };
        // The mark of a point of no return follows its schedule.
        let pivot = step.pivot || step.definition.is_some_and(|definition| definition.options.pivot);
        let settle = pivot || matches!(sent.plan, UndoPlan::FromOutput);
        let again = sent.again > 0;
        let round = match sent.again {
            0 => String::new(),
            1 => "/again".to_owned(),
            times => format!("/again{times}"),
        };
        let Errand { queue, execution, retry, timeout, default_timeout, priority, session } = sent.errand.clone();
        let open = session.as_ref().and_then(|session| self.open_session(session));
        let on = OnBehalf { run: self.identity.id.clone(), execution: self.identity.execution, op: op.clone() };
        let key = step.idempotency.as_deref().map(str::to_owned);
        let terms = Terms { retry, timeout, default_timeout, key, settle, unknown: again, pivot };
        let id = format!("{}/{op}{round}", self.identity.execution);
        let memo = match self.identity.memo.as_deref().map(|memo| decode::<Payload>(memo)).transpose() {
            Ok(memo) => memo,
            Err(error) => {
                let reason = format!("step {op} cannot be sent to queue `{queue}`: the run's memo: {error}");
                return self.park(self.at, reason);
            }
        };
        let noted = StartTerms { memo, session: open.clone().or(session), ..StartTerms::default() };
        let input = match errand::Order::encode(&on, &step.activity, &step.input, terms) {
            Ok(input) => input,
            Err(error) => {
                let reason = format!("step {op} cannot be sent to queue `{queue}`: {error}");
                return self.park(self.at, reason);
            }
        };
        let child = ChildScheduled {
            op: op.clone(),
            workflow: errand::workflow(&queue, &step.activity),
            version: errand::VERSION,
            id,
            execution,
            input,
            undo: UndoPlan::Nothing,
            at_end: None,
            lane: String::new(),
            priority: priority.unwrap_or_default(),
            terms: (noted != StartTerms::default()).then_some(noted),
        };
        let (id, seed) = (self.identity.id.as_str().to_owned(), derive::seed(execution, op));
        let parent = Parent { execution: self.identity.execution, op: op.clone(), id };
        let start = ChildStart { child, parent, seed, replaces: None };
        match open {
            Some(session) => {
                let what = format!("relay {execution}");
                let relay = MessageBody::Relay(Relay::Start(Box::new(start)));
                self.post(op, &what, Target::Execution(session.execution), &relay);
            }
            None => {
                let what = if again { format!("start again {execution}") } else { "start".to_owned() };
                self.post(op, &what, Target::Execution(execution), &MessageBody::StartChild(start));
            }
        }
    }

    /// Finds out what became of a step: by another attempt.
    pub(super) fn settle(&mut self, op: OpId, step: Step) {
        let sent = step.errand.is_some();
        self.steps.insert(op.clone(), step);
        if sent {
            self.send_errand(&op, true);
        } else {
            self.attempt_again(TaskKey { op, undo: false });
        }
    }

    /// Nobody waits for the step any more: it is asked to stop, and says what became of it.
    pub(super) fn recall_errand(&mut self, op: &OpId) {
        let undoing = self.is_undoing();
        let Some(step) = self.steps.get_mut(op) else { return };
        step.deadline = None;
        self.steps.set_orphan(op);
        self.dropped = true;
        self.ask_back(op);
        if !undoing {
            self.forget_if_harmless(op);
        }
    }

    /// What has nothing to undo is not waited for while the run goes on.
    fn forget_if_harmless(&mut self, op: &OpId) {
        let harmless = |step: &Step| {
            !step.pivot && step.errand.as_ref().is_some_and(|sent| matches!(sent.plan, UndoPlan::Nothing))
        };
        if self.steps.get(op).is_some_and(harmless) {
            self.steps.remove(op);
            self.undo_done(op);
        }
    }

    fn ask_back(&mut self, op: &OpId) {
        let Some(sent) = self.steps.get_mut(op).and_then(|step| step.errand.as_mut()) else { return };
        if !std::mem::replace(&mut sent.recalled, true) {
            self.post_recall(op);
        }
    }

    /// Says that a step is not needed any more, by the way that its start went.
    pub(super) fn post_recall(&mut self, op: &OpId) {
        let Some(sent) = self.steps.get(op).and_then(|step| step.errand.as_ref()) else { return };
        let execution = sent.errand.execution;
        let request = CancelRequest { reason: Some(format!("run {} needs it no longer", self.identity.id)) };
        match sent.session().and_then(|session| self.open_session(session)) {
            Some(session) => {
                let again = request.clone();
                let relay = Relay::Cancel { op: op.clone(), execution, request };
                let to = Target::Execution(session.execution);
                let ends = self.children.is_asked_to_stop(&session.op);
                self.post(op, "recall", to, &MessageBody::Relay(relay));
                if ends {
                    // It may end before it hears of this.
                    self.post(op, "cancel", Target::Execution(execution), &MessageBody::Cancel(again));
                }
            }
            None => self.post(op, "cancel", Target::Execution(execution), &MessageBody::Cancel(request)),
        }
    }

    /// Ends what was sent together with the run, without undo.
    pub(super) fn terminate_errands(&mut self) {
        let sent = self.steps.iter().filter_map(|(op, step)| Some((op.clone(), step.errand.as_ref()?)));
        let sent: Vec<_> = sent.map(|(op, sent)| (op, sent.errand.execution)).collect();
        for (op, execution) in sent {
            // What a session has not started yet it is to start and to stop.
            if self.steps.get(&op).is_some_and(|step| step.errand.as_ref().is_some_and(|sent| sent.session().is_some()))
            {
                self.post_recall(&op);
            }
            let reason = Some(format!("run {} was terminated", self.identity.id));
            let body = MessageBody::Terminate(CancelRequest { reason });
            self.post(&op, "terminate", Target::Execution(execution), &body);
        }
    }

    /// The time for all attempts is over. The workflow is told at once; what became of the step is
    /// known later.
    pub(super) fn errand_is_late(&mut self, op: &OpId, now: Timestamp) {
        let Some(step) = self.steps.get(op) else { return };
        let message = format!("`{}` did not succeed before its deadline, on a worker of its queue", step.activity);
        let failure = Failure { kind: FailureKind::DeadlinePassed, message, error: None };
        self.open_turn(now);
        self.push(Entry::StepFailed(StepFailed {
            op: op.clone(),
            attempt: 0,
            failure: failure.clone(),
            unknown: true,
        }));
        self.let_go_late(op);
        if !self.cancel_at_last() {
            self.resume(op, Arrival::Failure(Box::new(failure)));
        }
    }

    /// Whether the failure says that a step elsewhere took too long: only the run that sent it
    /// looks at the time.
    pub(super) fn is_late(&self, failed: &StepFailed) -> bool {
        failed.failure.kind == FailureKind::DeadlinePassed
            && self.steps.get(&failed.op).is_some_and(|step| step.errand.is_some())
    }

    pub(super) fn let_go_late(&mut self, op: &OpId) {
        if let Some(step) = self.steps.get_mut(op)
            && step.deadline.take().is_some()
        {
            self.timers.remove(&TimerKey::Deadline(op.clone()));
        }
        self.ask_back(op);
        self.forget_if_harmless(op);
    }

    /// The run that makes a step's attempts has ended, as its message says.
    pub(super) fn errand_ended(&mut self, op: &OpId, end: ChildEnd, now: Timestamp) {
        let Some(step) = self.steps.get(op).filter(|step| step.errand.is_some()) else { return };
        let activity = &step.activity;
        let interrupted = |unknown: bool, why: &str| StepFailed {
            op: op.clone(),
            attempt: 0,
            failure: Failure { kind: FailureKind::Interrupted, message: format!("`{activity}`: {why}"), error: None },
            unknown,
        };
        let failed = match end {
            ChildEnd::Completed(output) => {
                return match self.undo_of_errand(op, step, &output) {
                    Ok(undo) => self.step_ended(op, output, undo, now),
                    Err(reason) => self.park(now, reason),
                };
            }
            ChildEnd::Failed { error, message } => match errand::read_report(op, &error) {
                Ok(failed) => failed,
                Err(error) => interrupted(true, &format!("its report cannot be read ({error}): {message}")),
            },
            ChildEnd::Cancelled => interrupted(false, "it was cancelled before it was attempted"),
            ChildEnd::Terminated => interrupted(true, "an operator has ended it on its queue"),
            ChildEnd::Dead { reason } => interrupted(true, &format!("it needs an operator: {reason}")),
            ChildEnd::NotStarted { why } => interrupted(false, &format!("it cannot be sent to its queue: {why}")),
            other => interrupted(true, &format!("this build does not know the ending {other:?}")),
        };
        let needs_output = step.errand.as_ref().is_some_and(|sent| sent.needs_output(step));
        if failed.unknown && needs_output && (step.is_orphan() || step.pivot || self.is_undoing()) {
            if failed.failure.kind == FailureKind::SessionLost {
                return self.settle_elsewhere(failed, now);
            }
            let reason = format!(
                "whether step {op} had an effect is unknown, and must be known to undo the run: {}; set its result",
                failed.failure.message
            );
            return self.park(now, reason);
        }
        self.errand_failed(failed, now);
    }

    fn errand_failed(&mut self, failed: StepFailed, now: Timestamp) {
        self.open_turn(now);
        let Some(step) = self.steps.remove(&failed.op) else { return };
        self.clear_step_timers(&failed.op, &step);
        let position = self.position;
        self.push(Entry::StepFailed(failed.clone()));
        self.note_failed(position, &failed.op, failed.unknown, step);
        if !self.cancel_at_last() {
            self.resume(&failed.op, Arrival::Failure(Box::new(failed.failure)));
        }
    }

    /// The undo of a step that returned this elsewhere, where it needs the output.
    fn undo_of_errand(&self, op: &OpId, step: &Step, output: &Payload) -> Result<Option<Box<UndoStep>>, String> {
        if !step.errand.as_ref().is_some_and(|sent| matches!(sent.plan, UndoPlan::FromOutput)) {
            return Ok(None);
        }
        let definition = step
            .definition
            .ok_or_else(|| format!("this worker has no activity `{}`, whose undo step {op} needs", step.activity))?;
        let undo = definition.undo_for(&step.input, output, self.identity.encoder);
        undo.map_err(|error| format!("the undo of step {op} `{}` cannot be recorded: {error}", step.activity))
    }

    /// What a step that returns had sent: its plan, unless it is a point of no return.
    pub(super) fn returned(&self, op: &OpId) -> Option<UndoPlan> {
        if !self.steps.some_sent() {
            return None;
        }
        let step = self.steps.get(op).filter(|step| !step.pivot)?;
        step.errand.as_ref().map(|sent| sent.plan.clone())
    }

    /// A step has returned: what there is to undo of it from here on.
    pub(super) fn undo_from_now(&mut self, position: u64, op: &OpId, sent: Option<UndoPlan>, undo: Option<&UndoStep>) {
        match (sent, undo) {
            (Some(plan), None) => self.undo_as_planned(position, op, &plan),
            (_, undo) => self.undo_known(position, op, undo),
        }
    }

    pub(super) fn undo_as_planned(&mut self, position: u64, op: &OpId, plan: &UndoPlan) {
        match plan {
            UndoPlan::Known(step) => self.undo_known(position, op, Some(step)),
            _ => self.undo_done(op),
        }
    }
}

// The run that makes the attempts.
impl Machine {
    /// Reads for whom this run makes attempts, if it does.
    pub(super) fn take_order(&mut self, records: &[Record]) -> Result<(), super::replay::ReplayError> {
        let Some(Entry::Started(started)) = records.first().and_then(|record| record.entries.first()) else {
            return Ok(());
        };
        if !errand::is_errand(&started.workflow) {
            return Ok(());
        }
        let read = |input| {
            let order = errand::Order::decode(input)?;
            Ok::<_, crate::codec::CodecError>(Order {
                on_behalf: Arc::new(order.on_behalf()?),
                retry: RetryPolicy::from_wire(&order.retry()),
                timeout: Duration::from_micros(order.timeout),
                default_timeout: order.default_timeout,
                key: order.key.as_deref().map(Arc::from),
                settle: order.settle,
                unknown: order.unknown,
                pivot: order.pivot,
                session: started.terms.as_ref().and_then(|terms| Some(terms.session.as_ref()?.execution)),
            })
        };
        let order = read(&started.input)
            .map_err(|error| super::replay::ReplayError(format!("what it is to do cannot be read: {error}")))?;
        self.order = Some(Box::new(order));
        Ok(())
    }

    /// How the failure of a step comes to the workflow.
    pub(super) fn failure_arrives(&self, failed: &StepFailed) -> Arrival {
        match self.order {
            Some(_) => Arrival::Unsuccessful(Box::new(failed.clone())),
            None => Arrival::Failure(Box::new(failed.failure.clone())),
        }
    }

    /// Somebody asks for a cancel: what was surely not attempted is given up, what may have had an
    /// effect is settled if its undo depends on that, else ended. Whether the undo begins.
    pub(super) fn cancel_order(&mut self, request: CancelRequest) -> bool {
        let touched = |step: &Step| !step.atomic && (step.unknown || step.state() != StepState::Idle);
        if !self.steps.values().any(touched) {
            self.begin_undo(UndoCause::Cancelled(request));
            return true;
        }
        if self.order.as_ref().is_some_and(|order| order.settle) {
            self.settle_order();
            return false;
        }
        self.stop_order(request);
        true
    }

    /// From here on attempts are made until it is known what became of the step.
    pub(super) fn settle_order(&mut self) {
        if self.order.as_ref().is_some_and(|order| order.settle) && matches!(self.phase, Phase::Forward) {
            let open = self.steps.ops_within(&OpId::root());
            for op in &open {
                self.steps.set_orphan(op);
            }
        }
    }
}
