//! How a test gets between an engine and its store.

use std::sync::Arc;

use saga_store::{
    Beat, ClaimedRun, CommitError, CommitOutcome, Differences, ExecutionId, Hint, Incarnation, JournalRow, LoadedRun,
    NodeInfo, RunCommit, StoreError,
};

use super::MemoryStore;
use super::state::Hold;
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
    Reconcile,
}

/// An answer on its way: what a test may change.
pub(crate) enum Answer<'a> {
    Joined(&'a NodeInfo),
    Beat(&'a mut Beat),
    Claimed(&'a mut Vec<ClaimedRun>),
    Loaded(&'a mut Vec<LoadedRun>),
    Reconciled(&'a mut Differences),
}

/// Stands between one engine and the store.
pub(crate) trait Hook: Send + Sync {
    /// A call begins.
    fn enter(&self, verb: Verb) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Whether a hint is lost.
    fn loses_hint(&self) -> bool {
        false
    }

    /// The answer to a call, about to be given.
    fn answer(&self, _: &mut Answer<'_>) {}

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

    /// Who owns a run, and its journal.
    pub(crate) fn look(&self, execution: ExecutionId) -> Option<(Option<Incarnation>, Vec<JournalRow>)> {
        self.read(|state| {
            let run = state.runs.get(&execution)?;
            let owner = match run.hold {
                Hold::Owned(owner) => Some(owner),
                Hold::Free(_) | Hold::Ended => None,
            };
            Some((owner, run.journal.clone()))
        })
    }

    /// A crash has undone the claim of a run.
    pub(crate) fn undo_claim(&self, execution: ExecutionId) {
        self.with(|state, now, _| state.place(execution, Hold::Free(Some(now))));
    }

    /// Says something, true or not.
    pub(crate) fn hint(&self, hint: Hint) {
        // Nobody listening is no failure.
        let _ = self.shared.hints.send(hint);
    }

    pub(super) fn answer(&self, mut answer: Answer<'_>) {
        if let Some(hook) = &self.hook {
            hook.answer(&mut answer);
        }
    }
}
