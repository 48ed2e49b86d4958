//! One attempt of an activity: admitted by its breaker, limited in time, its panic caught, its
//! end logged.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt;
use saga_store::wire::{FailureKind, OpId};
use saga_store::{ExecutionId, RunId};
use tokio::sync::watch;
use tracing::Instrument;

use super::breaker::Breakers;
use super::surroundings::Stage;
use crate::activity::{ActivityContext, AttemptEnd, AttemptFailure, BreakerOptions, Code, ContextParts, panicked};
use crate::classify::Class;
use crate::clock::Clock;
use crate::machine::AttemptStart;
use crate::state::States;

/// What attempts of all runs share.
pub(crate) struct AttemptEnvironment {
    pub(crate) states: Arc<States>,
    pub(crate) breakers: Breakers,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stage: Option<Arc<dyn Stage>>,
}

/// Which run an attempt belongs to.
pub(crate) struct AttemptRun {
    pub(crate) id: RunId,
    pub(crate) execution: ExecutionId,
    pub(crate) workflow: String,
    pub(crate) cancelled: watch::Receiver<bool>,
}

impl AttemptEnvironment {
    /// What the activity may ask about this attempt.
    pub(crate) fn context(&self, run: &AttemptRun, start: &AttemptStart) -> ActivityContext {
        ActivityContext::new(ContextParts {
            activity: start.definition.name,
            run: run.id.clone(),
            execution: run.execution,
            op: start.key.op.clone(),
            attempt: start.attempt,
            undo: start.key.undo,
            states: Arc::clone(&self.states),
            cancelled: (!start.key.undo).then(|| run.cancelled.clone()),
        })
    }

    /// Makes an attempt.
    pub(crate) async fn attempt(&self, run: &AttemptRun, start: AttemptStart) -> AttemptEnd {
        let span = tracing::info_span!(
            "attempt",
            run = %run.id,
            workflow = %run.workflow,
            activity = start.definition.name,
            step = %start.key.op,
            attempt = start.attempt,
            undo = start.key.undo,
        );
        let begun = self.clock.now();
        let logged = Logged {
            activity: start.definition.name,
            step: start.key.op.clone(),
            attempt: start.attempt,
            undo: start.key.undo,
        };
        let end = self.admitted(run, start).instrument(span).await;
        logged.log(run, &end, self.clock.now().since(begun));
        end
    }

    async fn admitted(&self, run: &AttemptRun, start: AttemptStart) -> AttemptEnd {
        let Some(breaker) = start.definition.options.circuit_breaker else {
            return self.timed(run, start).await;
        };
        let name = start.definition.name;
        if let Err(wait) = self.breakers.admit(name, breaker, self.clock.now()) {
            let message =
                format!("the circuit breaker of `{name}` is open after {} failures in a row", breaker.failures);
            let class = Class::Transient { no_effect: true, retry_after: Some(wait) };
            return Err(AttemptFailure::engine(FailureKind::CircuitOpen, class, message));
        }
        let mut verdict = Verdict { environment: self, activity: name, breaker, healthy: false };
        let end = self.timed(run, start).await;
        // A permanent error is an answer: the service works.
        verdict.healthy = end.as_ref().err().is_none_or(|failure| failure.class == Class::Permanent);
        end
    }

    /// Runs the code until it ends or its time is over. The timer is set up only when the code
    /// does not end at its first poll.
    async fn timed(&self, run: &AttemptRun, start: AttemptStart) -> AttemptEnd {
        let context = self.context(run, &start);
        let called = std::panic::catch_unwind(AssertUnwindSafe(|| match (&self.stage, start.definition.code) {
            (Some(stage), _) => stage.attempt(start.definition, context, start.input.clone()),
            (None, Code::Async(code)) => code(context, start.input.clone()),
            (None, Code::Transaction { .. }) => {
                let name = start.definition.name;
                let message = format!("`{name}` writes through the store's transaction, which this store has not");
                let failure = AttemptFailure::engine(FailureKind::Unregistered, Class::Permanent, message);
                Box::pin(std::future::ready(Err(failure)))
            }
        }));
        let future = match called {
            Ok(future) => future,
            Err(panic) => return Err(panicked(panic.as_ref())),
        };
        let mut future = pin!(AssertUnwindSafe(future).catch_unwind());
        let mut timer = None;
        let ended = std::future::poll_fn(|cx| {
            if let Poll::Ready(end) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(end));
            }
            let timer = timer.get_or_insert_with(|| self.clock.sleep_until(self.clock.now().after(start.timeout)));
            timer.as_mut().poll(cx).map(|()| None)
        })
        .await;
        match ended {
            Some(Ok(end)) => end,
            Some(Err(panic)) => Err(panicked(panic.as_ref())),
            None => Err(timed_out(&start)),
        }
    }
}

/// Tells the breaker how an admitted attempt went; one that is dropped counts as failed, so that
/// a breaker that let it through to try does not wait for its end for ever.
struct Verdict<'a> {
    environment: &'a AttemptEnvironment,
    activity: &'static str,
    breaker: BreakerOptions,
    healthy: bool,
}

impl Drop for Verdict<'_> {
    fn drop(&mut self) {
        let now = self.environment.clock.now();
        self.environment.breakers.ended(self.activity, self.breaker, self.healthy, now);
    }
}

fn timed_out(start: &AttemptStart) -> AttemptFailure {
    let hint = if start.default_timeout { ", the default; set `timeout`" } else { "" };
    let message = format!("`{}` timed out after {:?}{hint}", start.definition.name, start.timeout);
    AttemptFailure::engine(FailureKind::TimedOut, Class::TRANSIENT, message)
}

/// What is logged of an attempt when it has ended. The line names its run itself, so that it can
/// be read where spans are filtered out.
struct Logged {
    activity: &'static str,
    step: OpId,
    attempt: u32,
    undo: bool,
}

impl Logged {
    fn log(&self, run: &AttemptRun, end: &AttemptEnd, duration: Duration) {
        macro_rules! line {
            ($level:ident, $outcome:literal, $($field:tt)*) => {
                tracing::$level!(
                    parent: None,
                    run = %run.id,
                    workflow = run.workflow,
                    activity = self.activity,
                    step = %self.step,
                    attempt = self.attempt,
                    undo = self.undo,
                    outcome = $outcome,
                    ?duration,
                    $($field)*
                )
            };
        }
        match end {
            Ok(_) => line!(debug, "completed", "attempt completed"),
            Err(AttemptFailure { failure, class }) => match failure.kind {
                // A refusal is an answer that the workflow deals with.
                FailureKind::Returned if *class == Class::Permanent => {
                    line!(debug, "refused", error = %failure.message, "attempt refused");
                }
                FailureKind::Returned => line!(info, "failed", error = %failure.message, "attempt failed"),
                _ => line!(warn, "failed", kind = ?failure.kind, error = %failure.message, "attempt failed"),
            },
        }
    }
}
