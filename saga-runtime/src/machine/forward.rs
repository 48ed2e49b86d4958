//! A run's way forward: polling the workflow, steps and their attempts, timers, messages.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context as PollContext, Poll, Wake, Waker};

use saga_store::Timestamp;
use saga_store::message::MessageBody;
use saga_store::wire::{
    Attempted, Entry, FailureKind, OpId, Payload, StepEnded, StepFailed, StepScheduled, TimerSet, UndoPlan, UndoStep,
};

use super::steps::Standing;
use super::{AttemptStart, Machine, Phase, Step, StepState, TaskKey, TimerKey, errands};
use crate::activity::{
    ActivityDefinition, ActivityOptions, AttemptEnd, AttemptFailure, Overrides, RetryPolicy, is_later,
};
use crate::classify::Class;
use crate::context::{self, Arrival, Decision, StepCode};
use crate::line;
use crate::workflow::BodyEnd;

/// Does nothing when woken: the engine polls after each arrival. Whoever keeps a clone waits for
/// something that the engine does not know.
pub(super) struct OwnWaker;

impl Wake for OwnWaker {
    fn wake(self: Arc<Self>) {}
}

impl Machine {
    /// An attempt has ended. `random` is uniform in 0..1.
    pub(crate) fn attempt_ended(&mut self, key: &TaskKey, end: AttemptEnd, now: Timestamp, random: f64) {
        if key.undo {
            self.undo_attempt_ended(&key.op, end, now, random);
            return;
        }
        if end.as_ref().is_ok_and(is_later) {
            return self.defer(&key.op);
        }
        let Some(step) = self.steps.set_state(&key.op, StepState::Idle) else { return };
        step.attempts += 1;
        match end {
            Ok(output) => {
                let undo = match self.undo_of_output(&key.op, &output) {
                    Ok(undo) => undo,
                    Err(reason) => return self.park(now, reason),
                };
                self.step_ended(&key.op, output, undo, now);
            }
            Err(failure) => self.attempt_failed(&key.op, failure, now, random),
        }
    }

    /// A transactional attempt has succeeded, and its record is durable already, of this time.
    pub(crate) fn transaction_kept(&mut self, key: &TaskKey, output: Payload, undo: Option<&UndoStep>, at: Timestamp) {
        self.at = self.at.max(at);
        let position = self.position;
        self.position += 1;
        if let Some(context) = &mut self.context {
            context.set_now(at);
        }
        if key.undo {
            self.undo_done(&key.op);
            self.advance_undo();
            self.advance_orphans();
            return;
        }
        self.close_step(&key.op);
        self.undo_known(position, &key.op, undo);
        self.resume(&key.op, Arrival::Value(output));
    }

    /// Whether the undo of this task's step needs the output of the attempt.
    pub(crate) fn undo_needs_output(&self, key: &TaskKey) -> bool {
        !key.undo && self.has_undo_of_output(&key.op)
    }

    fn has_undo_of_output(&self, op: &OpId) -> bool {
        self.undoable(op).is_some_and(|item| item.call.is_none())
    }

    /// The undo of a step that returned this, where it needs the output.
    pub(super) fn undo_of_output(&self, op: &OpId, output: &Payload) -> Result<Option<Box<UndoStep>>, String> {
        if !self.has_undo_of_output(op) {
            return Ok(None);
        }
        let Some(step) = self.steps.get(op) else { return Ok(None) };
        let Some(definition) = step.definition else { return Ok(None) };
        definition
            .undo_for(&step.input, output, self.identity.encoder)
            .map_err(|error| format!("the undo of step {op} `{}` cannot be recorded: {error}", step.activity))
    }

    pub(super) fn step_ended(&mut self, op: &OpId, output: Payload, undo: Option<Box<UndoStep>>, now: Timestamp) {
        self.open_turn(now);
        let sent = self.returned(op);
        let attempt = self.close_step(op);
        let position = self.position;
        self.push(Entry::StepEnded(StepEnded { op: op.clone(), attempt, output: output.clone(), undo: undo.clone() }));
        self.undo_from_now(position, op, sent, undo.as_deref());
        self.resume(op, Arrival::Value(output));
    }

    fn attempt_failed(&mut self, op: &OpId, end: AttemptFailure, now: Timestamp, random: f64) {
        let undoing = self.is_undoing();
        let Some(step) = self.steps.get_mut(op) else { return };
        let AttemptFailure { mut failure, class } = end;
        step.unknown |= class.may_have_effect() && !step.atomic;
        // A point of no return is settled before the workflow sees an error of it.
        let settling = undoing || step.is_orphan() || (step.pivot && step.unknown);
        let policy = if settling { RetryPolicy::UNDO } else { step.retry };
        let delay = match class {
            Class::Permanent => None,
            // What it returned cannot be recorded, and another attempt would return the same.
            Class::Transient { no_effect: false, .. } if failure.kind == FailureKind::Payload => None,
            Class::Transient { retry_after, .. } => {
                policy.delay_after(step.attempts, random).map(|delay| retry_after.unwrap_or(delay))
            }
        };
        let Some(delay) = delay else {
            if class != Class::Permanent && step.attempts > 1 {
                failure.message = format!("{} (after {} attempts)", failure.message, step.attempts);
            }
            return self.step_failed(op, failure, class == Class::Permanent, now);
        };
        let retry_at = now.after(delay);
        let (attempt, unknown) = (step.attempts, step.unknown);
        self.timers.set(retry_at, TimerKey::Retry(TaskKey { op: op.clone(), undo: false }));
        let attempted =
            Attempted { op: op.clone(), attempt, failure, unknown, retry_at: retry_at.as_micros(), undo: false };
        self.push_attempted(attempted, delay);
        if self.cancel_may_happen() {
            self.open_turn(now);
            self.cancel_at_last();
        }
    }

    fn step_failed(&mut self, op: &OpId, failure: saga_store::wire::Failure, permanent: bool, now: Timestamp) {
        self.open_turn(now);
        let Some(step) = self.steps.remove(op) else { return };
        self.clear_step_timers(op, &step);
        // A repeated attempt of a step whose outcome was unknown has settled it, if it says so.
        let settling = step.is_orphan() || step.pivot || self.is_undoing();
        let unknown = step.unknown && !(permanent && settling);
        if !unknown {
            self.forget_progress(op, false);
        }
        let position = self.position;
        let failed = StepFailed { op: op.clone(), attempt: step.attempts, failure, unknown };
        self.push(Entry::StepFailed(failed.clone()));
        self.note_failed(position, op, unknown, step);
        if !self.cancel_at_last() {
            self.resume(op, self.failure_arrives(&failed));
        }
    }

    /// Keeps what is needed to undo a failed step, if it may have had an effect.
    pub(super) fn note_failed(&mut self, position: u64, op: &OpId, unknown: bool, step: Step) {
        if !unknown {
            self.undo_done(op);
            return;
        }
        if let Some(sent) = &step.errand
            && !sent.needs_output(&step)
        {
            let plan = sent.plan.clone();
            return self.undo_as_planned(position, op, &plan);
        }
        match self.undoable(op) {
            Some(item) if item.call.is_some() => self.undo_known(position, op, None),
            Some(_) => {
                self.unsettled.insert(op.clone(), step);
            }
            None => {}
        }
    }

    pub(super) fn close_step(&mut self, op: &OpId) -> u32 {
        self.forget_progress(op, false);
        let Some((attempts, deadline)) = self.steps.close(op) else { return 0 };
        if deadline {
            self.timers.remove(&TimerKey::Deadline(op.clone()));
        }
        attempts.max(1)
    }

    pub(super) fn clear_step_timers(&mut self, op: &OpId, step: &Step) {
        if step.deadline.is_some() {
            self.timers.remove(&TimerKey::Deadline(op.clone()));
        }
    }

    /// Whether there is anything to [fire](Self::fire), now or later.
    pub(crate) fn has_timers(&self) -> bool {
        self.rebuilt || self.timers.first().is_some()
    }

    /// Feeds what is due.
    pub(crate) fn fire(&mut self, now: Timestamp) {
        self.doubt_retries(now);
        while !self.control.suspended
            && self.timers.first().is_some_and(|due| due <= now)
            && let Some(key) = self.timers.pop()
        {
            match key {
                TimerKey::Sleep(op) => {
                    self.open_turn(now);
                    self.push(Entry::TimerFired(op.clone()));
                    self.resume(&op, Arrival::Fired);
                }
                TimerKey::Retry(key) => self.attempt_again(key),
                TimerKey::Deadline(op) => self.deadline_passed(&op, now),
                TimerKey::Begin => self.begin(now),
                TimerKey::RunDeadline => self.run_deadline_passed(now),
            }
        }
    }

    fn deadline_passed(&mut self, op: &OpId, now: Timestamp) {
        let Some(step) = self.steps.get_mut(op) else { return };
        if step.is_open_pivot() {
            // Nothing could go on before its outcome is known.
            step.deadline = None;
            return;
        }
        if step.errand.is_some() {
            return self.errand_is_late(op, now);
        }
        let message = format!("`{}` did not succeed before its deadline ({} attempts)", step.activity, step.attempts);
        let key = TaskKey { op: op.clone(), undo: false };
        step.unknown |= step.state() != StepState::Idle && !step.atomic;
        if step.is_running() {
            self.stop_attempt(key);
        } else {
            self.ready.remove(&key);
            self.timers.remove_retry(&key);
        }
        let failure = AttemptFailure::engine(FailureKind::DeadlinePassed, Class::Permanent, message).failure;
        self.step_failed(op, failure, false, now);
    }

    /// Feeds a message of the inbox.
    pub(crate) fn receive(&mut self, message: MessageBody, now: Timestamp) {
        match message {
            MessageBody::Suspend(request) => self.suspend(request, now),
            MessageBody::Resume(request) => self.go_on(request, now),
            MessageBody::Terminate(request) => self.terminate(request, now),
            MessageBody::StepCompleted(completion) if !self.has_ended() => self.completed(completion, now),
            MessageBody::ChildEnded(ended) if !self.has_ended() => self.child_ended(&ended.op, ended.end, now),
            _ if !matches!(self.phase, Phase::Forward) => {}
            MessageBody::Cancel(request) => self.request_cancel(request, now),
            MessageBody::Relay(relay) if self.is_session() => self.relay(relay, now),
            MessageBody::Event(event) => {
                self.open_turn(now);
                self.push(Entry::EventReceived(event.clone()));
                self.take_event(event);
            }
            other => self.park(now, format!("this build does not know the message {other:?}")),
        }
    }

    /// Lets the workflow go on with what arrived for an operation.
    pub(super) fn resume(&mut self, op: &OpId, arrival: Arrival) {
        match &mut self.context {
            Some(context) => {
                context.arrive(op, arrival);
                self.poll_body();
            }
            None => self.advance_undo(),
        }
        self.advance_orphans();
    }

    /// Polls the workflow and takes what it decides.
    pub(super) fn poll_body(&mut self) {
        if self.control.holds_back() {
            return;
        }
        let (Some(body), Some(context)) = (self.body.take(), self.context.take()) else { return };
        let mut body = Some(body);
        let before = Arc::strong_count(&self.waker);
        let waker = Waker::from(Arc::clone(&self.waker));
        let replaying = self.unconfirmed.is_some();
        let ((mut context, polled), line) = line::last_of(|| {
            context::enter(context, || {
                let poll = AssertUnwindSafe(|| {
                    let Some(running) = &mut body else { return Poll::Pending };
                    let polled = running.as_mut().poll(&mut PollContext::from_waker(&waker));
                    if polled.is_pending() && context::is_continuing() {
                        // What it holds is let go, as by a return.
                        body = None;
                    }
                    polled
                });
                if replaying {
                    // No log line is repeated.
                    tracing::dispatcher::with_default(&tracing::Dispatch::none(), || catch_unwind(poll))
                } else {
                    catch_unwind(poll)
                }
            })
        });
        self.line = line.or(self.line);
        drop(waker);
        let foreign = Arc::strong_count(&self.waker) > before;
        let continues = context.take_continuing(matches!(polled, Ok(Poll::Pending)));
        let fatal = context.fatal();
        let waiting = context.is_waiting();
        if !matches!(polled, Ok(Poll::Pending | Poll::Ready(BodyEnd::Returned(_)))) {
            context.hold_again(&OpId::root());
        }
        context.end_poll();
        let mut decisions = context.take_decisions();
        let fatal = fatal.or_else(|| self.refuse_to_continue(continues, &mut decisions));
        self.status = context.take_status().or(self.status.take());
        self.body = body;
        self.context = Some(context);
        self.deciding = true;
        for decision in decisions.drain(..) {
            self.decided(decision);
        }
        if let Some(context) = &mut self.context {
            context.keep_room(decisions);
        }
        self.deciding = false;
        if let Some(reason) = fatal {
            return self.stop_dead(reason);
        }
        match polled {
            Ok(Poll::Pending) if continues => self.body_continues(),
            Ok(Poll::Pending) if foreign => self.stop_dead(format!(
                "the workflow waits for something that is not durable (a foreign future took its waker), {}; move it \
                 into an activity",
                self.standing()
            )),
            Ok(Poll::Pending) if !waiting => self.stop_dead(format!(
                "the workflow waits, but for no durable operation, {}; move what it waits for into an activity",
                self.standing()
            )),
            Ok(Poll::Pending) => self.tell_undone(),
            Ok(Poll::Ready(end)) => self.body_ended(end),
            Err(panic) => {
                let message = crate::codec::panic_message(panic.as_ref());
                self.stop_dead(format!("the workflow panicked: {message}"));
            }
        }
    }

    /// Where a workflow's code stands that awaits what the framework does not see.
    fn standing(&self) -> String {
        match self.line {
            Some(line) => format!("after the await at {}", line::shown(line)),
            None => "before its first durable await".to_owned(),
        }
    }

    /// Takes one decision: new ones are recorded; in a replay they wait for the journal's word.
    pub(super) fn decided(&mut self, decision: Decision) {
        if let Some(unconfirmed) = &mut self.unconfirmed {
            unconfirmed.push_back(decision);
            return;
        }
        let position = self.position;
        let Decision { entry, step, .. } = decision;
        if let Entry::StepScheduled(scheduled) = &entry {
            // It adds no entry of its own, so that its entry need not come first.
            self.open_step(position, scheduled, step);
            if scheduled.errand.is_none() {
                self.ready.push(TaskKey { op: scheduled.op.clone(), undo: false });
            }
            self.push(entry);
        } else {
            self.push(entry.clone());
            self.apply_decision(position, &entry, step);
        }
    }

    /// What a decision does to the run's state, live and in a replay alike.
    pub(super) fn apply_decision(&mut self, position: u64, entry: &Entry, code: Option<StepCode>) {
        match entry {
            Entry::StepScheduled(scheduled) => self.open_step(position, scheduled, code),
            Entry::Dropped(scope) => self.drop_branch(scope),
            Entry::UndoAdded(op, call) => self.undo.added(position, op, call),
            Entry::ChildScheduled(scheduled) => self.open_child(position, scheduled),
            Entry::ChildCancelled(op) => self.cancel_child(op),
            Entry::ChildDetached(op) => self.detach_child(op),
            Entry::Pivot(op) => self.pivot_decided(position, op),
            Entry::EventSent(sent) => self.send_event(sent),
            Entry::Continued(continued) => self.next = Some(continued.clone()),
            Entry::TimerSet(TimerSet { op, due }) => {
                self.timers.set(Timestamp::from_micros(*due), TimerKey::Sleep(op.clone()));
            }
            _ => {}
        }
    }

    fn open_step(&mut self, position: u64, scheduled: &StepScheduled, code: Option<StepCode>) {
        let definition = self.definition_for(code, &scheduled.activity);
        let options = definition.map_or(ActivityOptions::DEFAULT, |definition| definition.options);
        let overrides = code.map_or_else(|| Overrides::recorded(scheduled.at_call.as_deref()), |code| code.overrides);
        let deadline = scheduled.deadline.map(Timestamp::from_micros);
        if let Some(deadline) = deadline {
            self.timers.set(deadline, TimerKey::Deadline(scheduled.op.clone()));
        }
        let errand =
            scheduled.errand.clone().map(|errand| Box::new(errands::Sent::new(*errand, scheduled.undo.clone())));
        // What became of a step elsewhere must be known before anything of it, or before it, is undone.
        let plan = if errand.is_some() { &UndoPlan::FromOutput } else { &scheduled.undo };
        if !matches!(plan, UndoPlan::Nothing) {
            self.undo.scheduled(position, &scheduled.op, plan);
        }
        let order = self.order.as_deref();
        let sent = errand.is_some();
        let step = Step {
            definition,
            activity: match code {
                Some(code) => Cow::Borrowed(code.definition.name),
                None => Cow::Owned(scheduled.activity.clone()),
            },
            input: scheduled.input.clone(),
            idempotency: match order {
                Some(order) => order.key.clone(),
                None => scheduled.at_call.as_ref().and_then(|at_call| at_call.key.as_deref()).map(Arc::from),
            },
            retry: order.map_or_else(|| overrides.retry(&options), errands::Order::retry),
            timeout: order.map_or_else(|| overrides.timeout(&options), errands::Order::timeout),
            timeout_at_call: code.is_some_and(|code| code.overrides.timeout.is_some()),
            deadline,
            attempts: 0,
            unknown: order.is_some_and(|order| order.unknown),
            record: self.record,
            pivot: order.is_some_and(|order| order.pivot),
            atomic: definition.is_some_and(ActivityDefinition::is_transaction),
            errand,
            standing: Standing::new(order.is_some_and(|order| order.unknown)),
        };
        debug_assert!(matches!(scheduled.undo, UndoPlan::Nothing) || self.undo.get(&scheduled.op).is_some());
        self.steps.insert(scheduled.op.clone(), step);
        if sent {
            self.send_errand(&scheduled.op, false);
        }
    }

    /// Starts an attempt of a step or of an undo, if it is still wanted.
    pub(super) fn start_attempt(&mut self, key: TaskKey) -> Option<AttemptStart> {
        if key.undo {
            return self.start_undo_attempt(key);
        }
        let step = self.steps.get(&key.op)?;
        let Some(definition) = step.definition else {
            let reason = format!("no activity `{}` is in this worker, and step {} needs it", step.activity, key.op);
            self.park(self.at, reason);
            return None;
        };
        let progress = self.progress_of(&key);
        let order = self.order.as_deref();
        let step = self.steps.set_state(&key.op, StepState::Running)?;
        let default = || {
            let none = !step.timeout_at_call && definition.options.timeout.is_none();
            none && step.timeout == ActivityOptions::DEFAULT_TIMEOUT
        };
        Some(AttemptStart {
            attempt: step.attempts + 1,
            input: step.input.clone(),
            idempotency: step.idempotency.clone(),
            timeout: step.timeout,
            default_timeout: order.map_or_else(default, |order| order.default_timeout),
            on_behalf: order.map(|order| Arc::clone(&order.on_behalf)),
            progress,
            key,
            definition,
        })
    }
}
