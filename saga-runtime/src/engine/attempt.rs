//! One attempt of an activity, on its way through the layers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use saga_store::{ExecutionId, RunId, TxStep};

use super::limits::Limits;
use super::membership::Membership;
use super::open::OpenSteps;
use super::pace::LEASE_CHECK;
use crate::activity::{
    ActivityContext, AsyncTxJob, AttemptEnd, Beats, Board, Code, ContextParts, Courier, Lifeline, Sent, WorkerSession,
};
use crate::clock::Clock;
use crate::codec::Encoder;
use crate::erased::{AnyStore, BoxFuture};
use crate::errand;
use crate::layer::{Attempt, AttemptStack, Stage};
use crate::machine::AttemptStart;
use crate::state::States;

/// What attempts of all runs share.
pub(crate) struct AttemptEnvironment {
    pub(crate) states: Arc<States>,
    pub(crate) layers: AttemptStack,
    pub(crate) limits: Limits,
    pub(crate) clock: Arc<dyn Clock>,
    /// How long an attempt that is told to stop may take to do so.
    pub(crate) grace: Duration,
    /// Who runs the code instead, in a test.
    pub(crate) stage: Option<Arc<dyn Stage>>,
    /// How what they return is written.
    pub(crate) encoder: Encoder,
    /// Where attempts that write through the store have their transactions.
    pub(crate) store: Arc<dyn AnyStore>,
    /// Who takes events of attempts to their runs.
    pub(crate) courier: Arc<dyn Courier>,
}

/// Which run an attempt belongs to.
pub(crate) struct AttemptRun {
    pub(crate) id: RunId,
    pub(crate) execution: ExecutionId,
    pub(crate) workflow: Arc<str>,
    /// What is noted beside the run, as the store has it.
    pub(crate) memo: Option<Arc<Bytes>>,
    pub(crate) membership: Arc<Membership>,
    /// Where attempts say how far they are.
    pub(crate) board: Arc<Board>,
    /// Transactions that wait for their records.
    pub(crate) open: OpenSteps,
    /// The session that the attempts are part of.
    pub(crate) session: Option<Arc<WorkerSession>>,
}

impl AttemptEnvironment {
    /// What the activity may ask about this attempt, which is told to stop if it has a lifeline.
    pub(crate) fn context(
        &self,
        run: &AttemptRun,
        start: &AttemptStart,
        lifeline: Option<Arc<Lifeline>>,
    ) -> ActivityContext {
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
            encoder: self.encoder,
            lifeline,
            task: (run.execution, start.key.op.clone()),
            progress: start.progress.clone(),
            memo: run.memo.clone(),
            beats: (!start.definition.is_transaction()).then(|| Beats::new(&run.board)),
            courier: (!start.definition.is_transaction()).then(|| Arc::clone(&self.courier)),
            sent: Sent::default(),
            session: run.session.clone(),
        })
    }

    /// What connects an attempt of this activity with its driver.
    pub(crate) fn lifeline(&self, run: &AttemptRun, activity: &str, spare: Option<Arc<Lifeline>>) -> Arc<Lifeline> {
        Lifeline::renewed(spare, self.limits.apply_to(activity, errand::queue_of(&run.workflow)))
    }

    /// How the activity's code gets a transaction of its own, if it has one and is run.
    pub(crate) fn transaction(&self, start: &AttemptStart) -> Option<fn(AsyncTxJob) -> TxStep> {
        match (&self.stage, start.definition.code) {
            (None, Code::AsyncTransaction { pack, .. }) => Some(pack),
            _ => None,
        }
    }

    /// Makes an attempt, as soon as there is a place for it.
    pub(crate) async fn attempt(&self, run: &AttemptRun, lifeline: Arc<Lifeline>, start: AttemptStart) -> AttemptEnd {
        if !lifeline.waits() {
            return self.make(run, lifeline, start).await;
        }
        let queue = errand::queue_of(&run.workflow);
        let _pass = self.limits.admit(start.definition.name, queue, &*self.clock).await;
        // The lease was sure when the attempt began to wait. A life that is over drops it.
        while !run.membership.holds_lease(self.clock.elapsed()) {
            self.clock.sleep_until(self.clock.now().after(LEASE_CHECK)).await;
        }
        lifeline.begin();
        self.make(run, lifeline, start).await
    }

    async fn make(&self, run: &AttemptRun, lifeline: Arc<Lifeline>, start: AttemptStart) -> AttemptEnd {
        match self.transaction(&start) {
            Some(pack) => self.in_transaction(run, &start, pack).await,
            None => self.through_layers(run, lifeline, start).await,
        }
    }

    /// The way of an attempt to the activity's code.
    pub(crate) fn through_layers(
        &self,
        run: &AttemptRun,
        lifeline: Arc<Lifeline>,
        start: AttemptStart,
    ) -> BoxFuture<'static, AttemptEnd> {
        self.layers.attempt(Attempt {
            context: self.context(run, &start, Some(lifeline)),
            definition: start.definition,
            input: start.input,
            timeout: start.timeout,
            default_timeout: start.default_timeout,
            step: start.key.op,
            workflow: Arc::clone(&run.workflow),
            clock: Arc::clone(&self.clock),
            grace: self.grace,
        })
    }
}
