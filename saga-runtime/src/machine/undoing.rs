//! A run's way back: settling what is unknown, then undoing, in order, until nothing is left.

use std::time::Duration;

use saga_store::Timestamp;
use saga_store::wire::{Attempted, Conclusion, Entry, FailureKind, OpId, StepFailed, UndoCause};

use super::{AttemptStart, Change, Machine, Phase, TaskKey, TimerKey};
use crate::activity::{AttemptEnd, AttemptFailure, RetryPolicy, is_later};
use crate::classify::Class;

impl Machine {
    /// The run failed or is cancelled: from here on the journal says what to do, not the code.
    pub(super) fn begin_undo(&mut self, cause: UndoCause) {
        self.drop_body();
        self.push(Entry::UndoBegan(cause.clone()));
        self.change = Some(Change::Undoing);
        self.enter_undo(cause, false);
        self.advance_undo();
    }

    /// Sorts the open steps: those that did nothing are forgotten, those that may have done
    /// something are undone, those whose undo needs an output are settled first. After a crash
    /// every open step may have been attempted.
    pub(super) fn enter_undo(&mut self, cause: UndoCause, after_crash: bool) {
        self.phase = Phase::Undoing(Box::new(cause));
        self.timers.keep_retries();
        self.ready.keep_undos();
        self.closing = None;
        self.end_children(&OpId::root());
        for op in self.steps.ops_within(&OpId::root()) {
            self.sort_open_step(op, !after_crash);
        }
        for (op, step) in std::mem::take(&mut self.unsettled) {
            self.settle(op, step.for_settling(false));
        }
    }

    /// Begins the undos that may start now; concludes when nothing is left.
    pub(super) fn advance_undo(&mut self) {
        if !self.is_undoing() || self.unconfirmed.is_some() || self.control.suspended || !self.stopping.is_empty() {
            return;
        }
        self.begin_orphans();
        let begun = self.undo.begin(self.orphans.last_schedule());
        for op in begun {
            self.ready.push(TaskKey { op, undo: true });
        }
        if self.undo.is_empty() && !self.has_orphans() && self.steps.is_empty() {
            let Phase::Undoing(cause) = &self.phase else { return };
            let conclusion = match (**cause).clone() {
                UndoCause::Failed { error, message } => Conclusion::Failed { error, message },
                UndoCause::Cancelled(request) => Conclusion::Cancelled(request),
            };
            self.conclude(conclusion);
        }
    }

    pub(super) fn start_undo_attempt(&mut self, key: TaskKey) -> Option<AttemptStart> {
        let definition = self.definition_of(&key);
        let item = self.undoable(&key.op)?;
        let call = item.call.as_ref()?;
        let Some(definition) = definition else {
            let reason =
                format!("no activity `{}` is in this worker, and the undo of step {} needs it", call.activity, key.op);
            self.park(self.at, reason);
            return None;
        };
        let start = AttemptStart {
            attempt: item.attempts + 1,
            definition,
            input: call.input.clone(),
            idempotency: None,
            timeout: Duration::from_micros(call.timeout),
            default_timeout: definition.options.timeout.is_none(),
            on_behalf: None,
            progress: self.progress_of(&key),
            key,
        };
        if let Some(item) = self.undoable_mut(&start.key.op) {
            item.running = true;
        }
        Some(start)
    }

    pub(super) fn undo_attempt_ended(&mut self, op: &OpId, end: AttemptEnd, now: Timestamp, random: f64) {
        if self.has_ended() {
            return;
        }
        let end = end.and_then(|output| if is_later(&output) { Err(no_later_undo()) } else { Ok(output) });
        let Some(item) = self.undoable_mut(op) else { return };
        item.attempts += 1;
        item.running = false;
        let attempt = item.attempts;
        let policy = item.call.as_ref().map_or(RetryPolicy::UNDO, |call| RetryPolicy::from_wire(&call.retry));
        let activity = item.call.as_ref().map(|call| call.activity.clone()).unwrap_or_default();
        match end {
            Ok(_) => {
                self.open_turn(now);
                self.push(Entry::UndoEnded(op.clone(), attempt));
                self.undo_done(op);
                self.advance_undo();
                self.advance_orphans();
            }
            Err(AttemptFailure { failure, class }) => {
                let delay = match class {
                    Class::Permanent => None,
                    Class::Transient { retry_after, .. } => {
                        policy.delay_after(attempt, random).map(|delay| retry_after.unwrap_or(delay))
                    }
                };
                if let Some(delay) = delay {
                    let retry_at = now.after(delay);
                    self.timers.set(retry_at, TimerKey::Retry(TaskKey { op: op.clone(), undo: true }));
                    let op = op.clone();
                    let attempted =
                        Attempted { op, attempt, failure, unknown: true, retry_at: retry_at.as_micros(), undo: true };
                    self.push_attempted(attempted, delay);
                    return;
                }
                self.open_turn(now);
                let reason = format!(
                    "the undo of step {op} by `{activity}` failed for good at attempt {attempt}: {}",
                    failure.message
                );
                self.push(Entry::UndoFailed(StepFailed { op: op.clone(), attempt, failure, unknown: true }));
                if self.control.undo_continues {
                    tracing::error!(run = %self.identity.id, %reason, "an undo failed for good; undoing goes on");
                    self.undo_done(op);
                    self.advance_undo();
                    self.advance_orphans();
                    return;
                }
                let reason = format!("{reason}; steps before it are not undone");
                self.conclude(Conclusion::Dead { reason });
            }
        }
    }
}

fn no_later_undo() -> AttemptFailure {
    let message = "an undo cannot leave its end to whoever has a token: let it wait for the answer itself";
    AttemptFailure::engine(FailureKind::Payload, Class::Permanent, message)
}
