//! One attempt of an activity: admitted by its breaker, limited in time, its panic caught, its
//! end logged.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use futures_util::FutureExt;
use saga_store::wire::FailureKind;
use saga_store::{ExecutionId, RunId};
use tokio::sync::watch;
use tracing::{Instrument, field};

use super::breaker::Breakers;
use crate::activity::{ActivityContext, AttemptEnd, AttemptFailure, Code, ContextParts, panicked};
use crate::classify::Class;
use crate::clock::Clock;
use crate::machine::AttemptStart;
use crate::state::States;

/// What attempts of all runs share.
pub(crate) struct AttemptEnvironment {
    pub(crate) states: Arc<States>,
    pub(crate) breakers: Breakers,
    pub(crate) clock: Arc<dyn Clock>,
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
        let end = self.admitted(run, start).instrument(span.clone()).await;
        let duration = self.clock.now().since(begun);
        span.in_scope(|| log_end(&end, duration));
        end
    }

    async fn admitted(&self, run: &AttemptRun, start: AttemptStart) -> AttemptEnd {
        let Some(breaker) = start.definition.options.circuit_breaker else {
            return self.timed(run, start).await;
        };
        let name = start.definition.name;
        if let Err(wait) = self.breakers.admit(name, breaker, self.clock.now()) {
            let message = format!("the circuit breaker of `{name}` is open after {} failures in a row", breaker.failures);
            let class = Class::Transient { no_effect: true, retry_after: Some(wait) };
            return Err(AttemptFailure::engine(FailureKind::CircuitOpen, class, message));
        }
        let end = self.timed(run, start).await;
        let healthy = end.as_ref().err().is_none_or(|failure| failure.class == Class::Permanent);
        self.breakers.ended(name, breaker, healthy, self.clock.now());
        end
    }

    /// Runs the code until it ends or its time is over. The timer is set up only when the code
    /// does not end at its first poll.
    async fn timed(&self, run: &AttemptRun, start: AttemptStart) -> AttemptEnd {
        let Code::Async(code) = start.definition.code else {
            let message = format!("`{}` writes through the store's transaction, which this store has not", start.definition.name);
            return Err(AttemptFailure::engine(FailureKind::Unregistered, Class::Permanent, message));
        };
        let context = self.context(run, &start);
        let called = std::panic::catch_unwind(AssertUnwindSafe(|| code(context, start.input.clone())));
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

fn timed_out(start: &AttemptStart) -> AttemptFailure {
    let hint = if start.default_timeout { ", the default; set `timeout`" } else { "" };
    let message = format!("`{}` timed out after {:?}{hint}", start.definition.name, start.timeout);
    AttemptFailure::engine(FailureKind::TimedOut, Class::TRANSIENT, message)
}

fn log_end(end: &AttemptEnd, duration: std::time::Duration) {
    match end {
        Ok(_) => tracing::debug!(outcome = "completed", ?duration, "attempt completed"),
        Err(AttemptFailure { failure, class }) => tracing::warn!(
            outcome = "failed",
            kind = ?failure.kind,
            permanent = field::display(*class == Class::Permanent),
            ?duration,
            error = %failure.message,
            "attempt failed"
        ),
    }
}
