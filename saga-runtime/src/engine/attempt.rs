//! One attempt of an activity, on its way through the layers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use saga_store::{ExecutionId, RunId};
use tokio::sync::watch;

use super::attempts::Begun;
use super::limits::Limits;
use super::membership::Membership;
use super::open::OpenSteps;
use crate::activity::{ActivityContext, AttemptEnd, Beats, Board, Code, ContextParts};
use crate::clock::Clock;
use crate::erased::AnyStore;
use crate::layer::{Attempt, AttemptStack, Stage};
use crate::machine::AttemptStart;
use crate::state::States;

/// How often an attempt without its lease looks whether it has it again.
const LEASE_CHECK: Duration = Duration::from_millis(100);

/// What attempts of all runs share.
pub(crate) struct AttemptEnvironment {
    pub(crate) states: Arc<States>,
    pub(crate) layers: AttemptStack,
    pub(crate) limits: Limits,
    pub(crate) clock: Arc<dyn Clock>,
    /// Who runs the code instead, in a test.
    pub(crate) stage: Option<Arc<dyn Stage>>,
    /// Where attempts that write through the store have their transactions.
    pub(crate) store: Arc<dyn AnyStore>,
}

/// Which run an attempt belongs to.
pub(crate) struct AttemptRun {
    pub(crate) id: RunId,
    pub(crate) execution: ExecutionId,
    pub(crate) workflow: Arc<str>,
    pub(crate) membership: Arc<Membership>,
    pub(crate) cancelled: watch::Receiver<bool>,
    /// Where attempts say how far they are.
    pub(crate) board: Arc<Board>,
    /// Transactions that wait for their records.
    pub(crate) open: OpenSteps,
}

impl AttemptEnvironment {
    /// What the activity may ask about this attempt.
    pub(crate) fn context(&self, run: &AttemptRun, start: &AttemptStart) -> ActivityContext {
        let (id, execution, op) = match start.on_behalf.as_deref() {
            Some(step) => (&step.run, step.execution, &step.op),
            None => (&run.id, run.execution, &start.key.op),
        };
        ActivityContext::new(ContextParts {
            activity: start.definition.name,
            run: id.clone(),
            execution,
            op: op.clone(),
            key: start.idempotency.clone(),
            attempt: start.attempt,
            undo: start.key.undo,
            states: Arc::clone(&self.states),
            cancelled: (!start.key.undo).then(|| run.cancelled.clone()),
            progress: start.progress.clone(),
            beats: (!start.definition.is_transaction()).then(|| Beats::new(&run.board, &start.key.op)),
        })
    }

    /// What says whether an attempt of this activity has begun.
    pub(crate) fn begun(&self, activity: &str) -> Begun {
        self.limits.apply_to(activity).then(Arc::default)
    }

    /// Makes an attempt, as soon as there is a place for it.
    pub(crate) async fn attempt(&self, run: &AttemptRun, begun: Begun, start: AttemptStart) -> AttemptEnd {
        let Some(begun) = begun else { return self.make(run, start).await };
        let _pass = self.limits.admit(start.definition.name, &*self.clock).await;
        // The lease was sure when the attempt began to wait. A life that is over drops it.
        while !run.membership.holds_lease(self.clock.elapsed()) {
            self.clock.sleep_until(self.clock.now().after(LEASE_CHECK)).await;
        }
        begun.store(true, Ordering::Release);
        self.make(run, start).await
    }

    async fn make(&self, run: &AttemptRun, start: AttemptStart) -> AttemptEnd {
        if let (None, Code::AsyncTransaction { pack, .. }) = (&self.stage, start.definition.code) {
            return self.in_transaction(run, &start, pack).await;
        }
        let attempt = Attempt {
            context: self.context(run, &start),
            definition: start.definition,
            input: start.input,
            timeout: start.timeout,
            default_timeout: start.default_timeout,
            step: start.key.op,
            workflow: Arc::clone(&run.workflow),
            clock: Arc::clone(&self.clock),
        };
        self.layers.attempt(attempt).await
    }
}
