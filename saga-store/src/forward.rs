//! Verbs that a store around a store hands on as they are.

/// Hands these verbs of [`Store`](crate::Store) on to the field `inner`, within the `impl` of a store
/// that is around another; with `commit` goes `commit_gathering`, with `deliver` goes `deliver_and_claim`.
///
/// ```
/// use saga_store::{Beat, Incarnation, Store, StoreError};
/// # use saga_store::*;
/// # use saga_store::commit::*;
///
/// /// Counts heartbeats.
/// struct Counting<S> {
///     inner: S,
///     beats: std::sync::atomic::AtomicU64,
/// }
///
/// impl<S: Store> Store for Counting<S> {
///     async fn beat(&self, incarnation: Incarnation) -> Result<Beat, StoreError> {
///         self.beats.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
///         self.inner.beat(incarnation).await
///     }
///
///     saga_store::forward! {
///         kind commit_lanes join leave start commit transact start_within tell deliver claim adopt reconcile
///         next_wake load inbox outbox forget blobs hints get get_execution ended list purge purge_these
///     }
/// }
/// ```
#[macro_export]
macro_rules! forward {
    ($($verb:ident)*) => { $($crate::__forward_verb!($verb);)* };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __forward_verb {
    (kind) => {
        fn kind(&self) -> &'static str {
            self.inner.kind()
        }
    };
    (commit_lanes) => {
        fn commit_lanes(&self) -> usize {
            self.inner.commit_lanes()
        }
    };
    (start_within) => {
        fn start_within(&self, run: &mut $crate::NewRun) -> Option<&str> {
            self.inner.start_within(run)
        }
    };
    (tell) => {
        fn tell(&self, hint: $crate::Hint) {
            self.inner.tell(hint);
        }
    };
    (hints) => {
        fn hints(&self) -> Box<dyn $crate::HintStream> {
            self.inner.hints()
        }
    };
    (commit) => {
        async fn commit(
            &self,
            commits: Vec<$crate::RunCommit>,
        ) -> Result<Vec<$crate::CommitOutcome>, $crate::CommitError> {
            self.inner.commit(commits).await
        }

        async fn commit_gathering(
            &self,
            commits: Vec<$crate::RunCommit>,
            gathering: std::sync::Arc<dyn $crate::Gathering>,
        ) -> Result<Vec<$crate::CommitOutcome>, $crate::CommitError> {
            self.inner.commit_gathering(commits, gathering).await
        }
    };
    (join) => { $crate::__forward_verb!(@ join(node: &$crate::NodeInfo) -> $crate::Joined); };
    (beat) => { $crate::__forward_verb!(@ beat(incarnation: $crate::Incarnation) -> $crate::Beat); };
    (leave) => { $crate::__forward_verb!(@ leave(incarnation: $crate::Incarnation) -> ()); };
    (start) => { $crate::__forward_verb!(@ start(runs: Vec<$crate::NewRun>) -> Vec<$crate::Started>); };
    (transact) => {
        $crate::__forward_verb!(@ transact(step: $crate::TxStep, limits: $crate::TxLimits) -> $crate::Transacted);
    };
    (deliver) => {
        $crate::__forward_verb!(@ deliver(messages: Vec<$crate::Message>) -> Vec<$crate::Delivery>);
        $crate::__forward_verb!(
            @ deliver_and_claim(messages: Vec<$crate::Message>, claim: &$crate::Claim)
                -> (Vec<$crate::Delivery>, Vec<$crate::ClaimedRun>)
        );
    };
    (claim) => { $crate::__forward_verb!(@ claim(claim: &$crate::Claim) -> Vec<$crate::ClaimedRun>); };
    (adopt) => {
        $crate::__forward_verb!(
            @ adopt(dead: $crate::Incarnation, by: $crate::Incarnation, max: usize) -> Vec<$crate::ClaimedRun>
        );
    };
    (reconcile) => {
        $crate::__forward_verb!(
            @ reconcile(owner: $crate::Incarnation, driven: &[$crate::ExecutionId], max: usize) -> $crate::Differences
        );
    };
    (next_wake) => { $crate::__forward_verb!(@ next_wake() -> Option<$crate::Timestamp>); };
    (load) => { $crate::__forward_verb!(@ load(executions: &[$crate::ExecutionId]) -> Vec<$crate::LoadedRun>); };
    (inbox) => {
        $crate::__forward_verb!(@ inbox(execution: $crate::ExecutionId, after: u64) -> Vec<$crate::InboxMessage>);
    };
    (outbox) => {
        $crate::__forward_verb!(
            @ outbox(owner: $crate::Incarnation, limit: usize) -> Vec<($crate::ExecutionId, $crate::Message)>
        );
    };
    (forget) => { $crate::__forward_verb!(@ forget(messages: Vec<$crate::MessageId>) -> ()); };
    (blobs) => {
        $crate::__forward_verb!(
            @ blobs(execution: $crate::ExecutionId, ids: &[$crate::BlobId]) -> Vec<($crate::BlobId, $crate::__Bytes)>
        );
    };
    (get) => { $crate::__forward_verb!(@ get(id: &$crate::RunId) -> Option<$crate::RunView>); };
    (get_execution) => {
        $crate::__forward_verb!(@ get_execution(execution: $crate::ExecutionId) -> Option<$crate::RunView>);
    };
    (ended) => {
        $crate::__forward_verb!(@ ended(executions: &[$crate::ExecutionId]) -> Vec<$crate::ExecutionId>);
    };
    (list) => { $crate::__forward_verb!(@ list(query: &$crate::Query) -> $crate::Page); };
    (purge) => { $crate::__forward_verb!(@ purge(before: $crate::Timestamp, budget: usize) -> $crate::Purged); };
    (purge_these) => {
        $crate::__forward_verb!(@ purge_these(executions: &[$crate::ExecutionId]) -> Vec<$crate::ExecutionId>);
    };
    (@ $verb:ident($($name:ident: $type:ty),*) -> $output:ty) => {
        async fn $verb(&self, $($name: $type),*) -> Result<$output, $crate::StoreError> {
            self.inner.$verb($($name),*).await
        }
    };
}
