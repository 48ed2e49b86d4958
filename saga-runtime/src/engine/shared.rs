//! What all tasks of one engine share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use saga_store::{BuildId, Incarnation, Timestamp};

use super::attempt::AttemptEnvironment;
use super::committer::Committer;
use super::live::LiveRuns;
use crate::clock::Clock;
use crate::endings::Endings;
use crate::entropy::Entropy;
use crate::erased::AnyStore;
use crate::machine::Resolve;
use crate::registry::Registry;

pub(crate) struct Shared {
    pub(crate) store: Arc<dyn AnyStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<Entropy>,
    pub(crate) endings: Arc<Endings>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) served: Vec<(String, u32)>,
    pub(crate) resolve: Arc<Resolve>,
    pub(crate) environment: Arc<AttemptEnvironment>,
    pub(crate) committer: Committer,
    pub(crate) live: LiveRuns,
    pub(crate) incarnation: Incarnation,
    pub(crate) build: BuildId,
    pub(crate) lease: Duration,
    pub(crate) beat: Duration,
    pub(crate) history_limit: u64,
    pub(crate) grace: Duration,
    pub(crate) stopping: AtomicBool,
    /// Until when this worker's lease is sure, by the engine's time.
    pub(crate) lease_until: AtomicI64,
    /// Whether other workers are members of the store.
    pub(crate) has_peers: AtomicBool,
}

impl Shared {
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Whether attempts may start: the lease, counted from sending the last good beat, is not over.
    pub(crate) fn holds_lease(&self, now: Timestamp) -> bool {
        now.as_micros() < self.lease_until.load(Ordering::Acquire)
    }
}
