//! One attempt of an activity, on its way through the layers.

use std::sync::Arc;

use saga_store::TxStep;

use super::limits::{Limits, Pass};
use super::membership::Membership;
use super::open::OpenSteps;
use super::pace::LEASE_CHECK;
use crate::activity::{
    ActivityContext, AsyncTxJob, AttemptEnd, Beats, Code, Common, ContextParts, Lifeline, RunScope, Sent,
};
use crate::erased::{AnyStore, BoxFuture};
use crate::errand;
use crate::layer::{Attempt, AttemptStack, Stage};
use crate::machine::AttemptStart;

/// What attempts of all runs share.
pub(crate) struct AttemptEnvironment {
    /// What they see of it.
    pub(crate) common: Arc<Common>,
    pub(crate) layers: AttemptStack,
    pub(crate) limits: Limits,
    /// Who runs the code instead, in a test.
    pub(crate) stage: Option<Arc<dyn Stage>>,
    /// Where attempts that write through the store have their transactions.
    pub(crate) store: Arc<dyn AnyStore>,
}

/// The run of an attempt that waits for its place, or has a transaction of its own.
pub(crate) struct AttemptRun {
    /// What its attempts see of it.
    pub(crate) scope: Arc<RunScope>,
    pub(crate) membership: Arc<Membership>,
    /// Transactions that wait for their records.
    pub(crate) open: OpenSteps,
}

/// What the activity may ask about this attempt, which is told to stop if it has a lifeline.
pub(crate) fn context(scope: &Arc<RunScope>, start: &AttemptStart, lifeline: Option<Arc<Lifeline>>) -> ActivityContext {
    ActivityContext::new(ContextParts {
        scope: Arc::clone(scope),
        on_behalf: start.on_behalf.clone(),
        activity: start.definition.name,
        op: start.key.op.clone(),
        key: start.idempotency.clone(),
        attempt: start.attempt,
        undo: start.key.undo,
        lifeline,
        progress: start.progress.clone(),
        in_transaction: start.definition.is_transaction(),
        beats: Beats::default(),
        sent: Sent::default(),
    })
}

impl AttemptEnvironment {
    /// What connects an attempt of this activity with its driver.
    pub(crate) fn lifeline(&self, scope: &RunScope, activity: &str, spare: Option<Arc<Lifeline>>) -> Arc<Lifeline> {
        Lifeline::renewed(spare, self.limits.apply_to(activity, || errand::queue_of(&scope.workflow)))
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
        let _pass = if lifeline.waits() {
            let pass = Box::pin(self.admit(run, start.definition.name)).await;
            lifeline.begin();
            Some(pass)
        } else {
            None
        };
        match self.transaction(&start) {
            Some(pack) => self.in_transaction(run, &start, pack).await,
            None => self.through_layers(&run.scope, lifeline, start).await,
        }
    }

    /// Waits for a place, and then until the lease is sure.
    async fn admit(&self, run: &AttemptRun, activity: &'static str) -> Pass<'_> {
        let queue = errand::queue_of(&run.scope.workflow);
        let clock = &self.common.clock;
        let pass = self.limits.admit(activity, queue, &**clock).await;
        // The lease was sure when the attempt began to wait. A life that is over drops it.
        while !run.membership.holds_lease(clock.elapsed()) {
            clock.sleep_until(clock.now().after(LEASE_CHECK)).await;
        }
        pass
    }

    /// The way of an attempt to the activity's code.
    pub(crate) fn through_layers(
        &self,
        scope: &Arc<RunScope>,
        lifeline: Arc<Lifeline>,
        start: AttemptStart,
    ) -> BoxFuture<'static, AttemptEnd> {
        self.layers.attempt(Attempt {
            context: context(scope, &start, Some(lifeline)),
            definition: start.definition,
            input: start.input,
            timeout: start.timeout,
            default_timeout: start.default_timeout,
        })
    }
}
