//! What all tasks of one engine share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use saga_store::wire::ChildScheduled;
use saga_store::{BuildId, ExecutionId, Incarnation, Joined, StoreError};
use tokio::sync::Notify;

use super::attempt::AttemptEnvironment;
use super::committer::Committer;
use super::heart::Candidate;
use super::letterbox::Post;
use super::live::LiveRuns;
use super::membership::Membership;
use super::queues::Queues;
use super::sessions::Sessions;
use super::tally::Counts;
use super::unanswered::Unanswered;
use super::ward::Ward;
use crate::built_in;
use crate::clock::Clock;
use crate::endings::Endings;
use crate::entropy::Entropy;
use crate::erased::AnyStore;
use crate::machine::{Resolve, ResolveWorkflow};
use crate::registry::Registry;
use crate::spawn::Spawner;

pub(crate) struct Shared {
    pub(crate) store: Arc<dyn AnyStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) spawner: Spawner,
    pub(crate) entropy: Arc<Entropy>,
    pub(crate) endings: Arc<Endings>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) served: Vec<(String, u32)>,
    pub(crate) resolve: Arc<Resolve>,
    pub(crate) workflows: Arc<ResolveWorkflow>,
    pub(crate) environment: Arc<AttemptEnvironment>,
    pub(crate) committer: Committer,
    pub(crate) live: LiveRuns,
    pub(crate) name: String,
    /// This worker's life of now.
    pub(crate) membership: RwLock<Arc<Membership>>,
    /// Something says that this worker may be no member any more: the heart finds out at once.
    pub(crate) doubt: Notify,
    /// Something may have changed that no hint told of: what this worker has is looked at soon.
    pub(crate) look_at_all: Notify,
    /// How many errands of each queue it has.
    pub(crate) queues: Arc<Queues>,
    /// The sessions that it has.
    pub(crate) sessions: Sessions,
    pub(crate) counts: Arc<Counts>,
    pub(crate) post: Post,
    /// Starts for this worker that got no answer.
    pub(crate) unanswered: Unanswered,
    pub(crate) build: BuildId,
    pub(crate) lease: Duration,
    pub(crate) beat: Duration,
    /// How long nothing is looked for without a hint.
    pub(crate) slow_poll: Duration,
    pub(crate) history_limit: u64,
    /// How often in a row a run's workers may die.
    pub(crate) max_deaths: u32,
    pub(crate) ward: Arc<Ward>,
    pub(crate) grace: Duration,
    pub(crate) stopping: AtomicBool,
}

impl Shared {
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Whether this worker drives such runs, once it has one. One whose code it lacks it
    /// tries, to say so in the journal.
    pub(crate) fn may_drive(&self, workflow: &str, version: u32) -> bool {
        let known = built_in::definition(workflow).is_some() || self.registry.workflow(workflow, version).is_some();
        !known || self.serves(workflow, version)
    }

    /// Whether this life of the worker takes runs now. Without its lease it may be taken for dead: what it
    /// would own is for others.
    pub(crate) fn takes_runs(&self, membership: &Membership) -> bool {
        !self.is_stopping() && membership.holds_lease(self.clock.elapsed())
    }

    /// Whether this worker takes such runs.
    pub(crate) fn serves(&self, workflow: &str, version: u32) -> bool {
        self.served.iter().any(|(name, number)| name == workflow && *number == version)
    }

    /// What a session of this worker has started is this worker's, whether there is room for it or
    /// not: nobody else could do it. Nothing, if it does not serve such runs either.
    pub(crate) fn claims_within(&self, session: ExecutionId, start: &ChildScheduled) -> Option<Incarnation> {
        let ChildScheduled { workflow, version, execution, .. } = start;
        let here = !self.is_stopping() && self.sessions.get(session).is_some() && self.serves(workflow, *version);
        here.then(|| {
            self.live.take_place(*execution, || self.queues.enter(workflow));
            self.membership().incarnation()
        })
    }

    /// This worker's life of now.
    pub(crate) fn membership(&self) -> Arc<Membership> {
        Arc::clone(&self.membership.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Begins a new life.
    pub(crate) async fn join(&self) -> Result<Joined, StoreError> {
        let candidate = Candidate {
            store: &*self.store,
            clock: &*self.clock,
            entropy: &self.entropy,
            name: &self.name,
            build: &self.build,
            lease: self.lease,
        };
        let (membership, joined) = candidate.join().await?;
        *self.membership.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(membership);
        Ok(joined)
    }
}
