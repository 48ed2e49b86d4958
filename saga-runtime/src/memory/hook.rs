//! How a test gets between an engine and its store.

use std::sync::Arc;

use saga_store::{CommitError, CommitOutcome, RunCommit, StoreError};

use super::MemoryStore;
use crate::erased::BoxFuture;

/// Which call is made, apart from commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Join,
    Beat,
    Start,
    Deliver,
    Claim,
    Adopt,
    Load,
    Inbox,
}

/// Stands between one engine and the store.
pub(crate) trait Hook: Send + Sync {
    /// A call begins.
    fn enter(&self, verb: Verb) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Takes the place of a commit: [`MemoryStore::append`] writes.
    fn commit<'a>(
        &'a self,
        store: &'a MemoryStore,
        commits: Vec<RunCommit>,
    ) -> BoxFuture<'a, Result<Vec<CommitOutcome>, CommitError>>;
}

impl MemoryStore {
    /// Another handle to the same store, with this between.
    pub(crate) fn hooked(&self, hook: Arc<dyn Hook>) -> Self {
        Self { shared: Arc::clone(&self.shared), hook: Some(hook) }
    }
}
