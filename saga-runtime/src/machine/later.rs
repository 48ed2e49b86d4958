//! Steps whose attempt has ended without an output: whoever has the token says what became of them.

use std::time::Duration;

use saga_store::Timestamp;
use saga_store::wire::{Completion, CompletionEnd, Entry, OpId};

use super::{Machine, StepState, TaskKey};
use crate::activity::AttemptFailure;
use crate::classify::Class;

/// In place of chance, for the delay of an attempt that somebody else has failed.
const MIDDLE: f64 = 0.5;

impl Machine {
    /// An attempt has ended, and somebody else will say what became of the step.
    pub(super) fn defer(&mut self, op: &OpId) {
        let Some(step) = self.steps.get_mut(op) else { return };
        let attempt = step.attempts + 1;
        self.steps.set_state(op, StepState::Deferred);
        self.push(Entry::Deferred(op.clone(), attempt));
    }

    /// The journal says so. One that was copied from another execution had the token of that one:
    /// it is attempted anew.
    pub(super) fn replay_deferred(&mut self, op: &OpId) {
        if self.record as u64 <= self.control.copied {
            return;
        }
        self.steps.set_state(op, StepState::Deferred);
    }

    /// Whether a step waits for whoever has its token.
    pub(crate) fn awaits_token(&self) -> bool {
        self.steps.some_deferred()
    }

    /// Somebody says what became of a step. An attempt of it that is still under way has no say any
    /// more. What has an end already keeps it.
    pub(super) fn completed(&mut self, completion: Completion, now: Timestamp) {
        let Completion { op, activity, end, attempt } = completion;
        let Some(step) = self.steps.get(&op).filter(|step| step.errand.is_none() && step.activity == activity) else {
            tracing::warn!(run = %self.identity.id, step = %op, activity, "a step that is not open was completed from outside");
            return;
        };
        let end = match end {
            CompletionEnd::Returned(output) => Ok(output),
            CompletionEnd::Failed { failure, permanent, no_effect, retry_after } => {
                let retry_after = retry_after.map(Duration::from_micros);
                let class = if permanent { Class::Permanent } else { Class::Transient { no_effect, retry_after } };
                Err(AttemptFailure { failure, class })
            }
            other => return self.park(now, format!("this build does not know the end {other:?} of step {op}")),
        };
        let fails_for_now = end.as_ref().is_err_and(|failure| failure.class != Class::Permanent);
        let has_failed = attempt.is_some_and(|attempt| attempt <= step.attempts);
        if fails_for_now && (has_failed || step.state() == StepState::Idle) {
            // It has failed already, and is attempted again: the word was sent twice, or came late. The
            // next attempt, which may be under way, is none of its business.
            return;
        }
        let key = TaskKey { op, undo: false };
        if step.is_running() {
            self.stop_attempt(key.clone());
        }
        self.ready.remove(&key);
        self.timers.remove_retry(&key);
        self.attempt_ended(&key, end, now, MIDDLE);
    }
}
