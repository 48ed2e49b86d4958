//! The store around a store.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use saga_store::commit::Blob;
use saga_store::{
    BlobId, CommitError, CommitOutcome, ExecutionId, NewRun, OpenTx, RunCommit, Started, Store, StoreError, Transacted,
    TxFuture, TxLimits, TxOutcome, TxStep,
};

use crate::blob_store::BlobStore;
use crate::outside::Outside;

/// Any store, with large payloads in an object store. See the [crate's page](crate).
///
/// It is a [`Store`] like the one inside: the same transactions, hints, claims and errors.
///
/// # Cost
///
/// A `put` before each commit or start that has a large payload, and a `get` for each one that is read,
/// up to 16 at once. What shares a group commit with a large payload waits for its `put`. To others the
/// store offers one lane more for that.
#[derive(Debug, Clone)]
pub struct SplitStore<S> {
    inner: S,
    pub(crate) outside: Outside,
}

impl<S> SplitStore<S> {
    /// Keeps in `blobs` what is large, and in `inner` all else.
    pub fn new(inner: S, blobs: impl BlobStore) -> Self {
        Self { inner, outside: Outside { blobs: Arc::new(blobs), over: 0 } }
    }

    /// Only payloads of more bytes than this leave the database. Default: all that have left the
    /// journal, which are those over 64 KiB. It can be changed at any time, and differ between
    /// processes.
    #[must_use]
    pub fn over(mut self, bytes: usize) -> Self {
        self.outside.over = bytes;
        self
    }

    /// The store inside, which has the references.
    pub fn inner(&self) -> &S {
        &self.inner
    }
}

impl Outside {
    async fn put_commits(&self, commits: &mut [RunCommit]) -> Result<BTreeMap<BlobId, Bytes>, StoreError> {
        Ok(self.put(blobs_of_commits(commits)).await?.into_iter().collect())
    }
}

fn blobs_of_commits(commits: &mut [RunCommit]) -> Vec<(ExecutionId, &mut Blob)> {
    let mut blobs = Vec::new();
    for RunCommit { execution, blobs: of_run, .. } in commits {
        blobs.extend(of_run.iter_mut().map(|blob| (*execution, blob)));
    }
    blobs
}

fn blobs_of_runs(runs: &mut [NewRun]) -> Vec<(ExecutionId, &mut Blob)> {
    let mut blobs = Vec::new();
    for NewRun { execution, blobs: of_run, .. } in runs {
        blobs.extend(of_run.iter_mut().map(|blob| (*execution, blob)));
    }
    blobs
}

impl<S: Store> Store for SplitStore<S> {
    saga_store::forward! {
        kind join beat leave start_within tell deliver claim adopt reconcile next_wake load inbox outbox
        forget hints get get_execution ended list purge purge_these
    }

    fn commit_lanes(&self) -> usize {
        self.inner.commit_lanes() + 1
    }

    async fn start(&self, mut runs: Vec<NewRun>) -> Result<Vec<Started>, StoreError> {
        self.outside.put(blobs_of_runs(&mut runs)).await?;
        self.inner.start(runs).await
    }

    async fn commit(&self, mut commits: Vec<RunCommit>) -> Result<Vec<CommitOutcome>, CommitError> {
        let kept = match self.outside.put_commits(&mut commits).await {
            Ok(kept) => kept,
            Err(error) => return Err(CommitError { error, commits }),
        };
        self.inner.commit(commits).await.map_err(|CommitError { error, mut commits }| {
            // The caller gets back what it gave, to send it again: then it is put again as well, since a
            // sweep may have passed.
            for blob in commits.iter_mut().flat_map(|commit| &mut commit.blobs) {
                if let Some(bytes) = kept.get(&blob.id) {
                    blob.bytes = bytes.clone();
                }
            }
            CommitError { error, commits }
        })
    }

    async fn transact(&self, step: TxStep, limits: TxLimits) -> Result<Transacted, StoreError> {
        Ok(match self.inner.transact(step, limits).await? {
            Transacted::Open(tx) => Transacted::Open(Box::new(SplitTx { tx, outside: self.outside.clone() })),
            other => other,
        })
    }

    async fn blobs(&self, execution: ExecutionId, ids: &[BlobId]) -> Result<Vec<(BlobId, Bytes)>, StoreError> {
        let rows = self.inner.blobs(execution, ids).await?;
        self.outside.get(execution, rows).await
    }
}

/// A transaction whose record's large payloads are put outside before it is appended.
struct SplitTx {
    tx: Box<dyn OpenTx>,
    outside: Outside,
}

impl OpenTx for SplitTx {
    fn commit(self: Box<Self>, mut commit: RunCommit) -> TxFuture<'static, TxOutcome> {
        let Self { tx, outside } = *self;
        Box::pin(async move {
            // A transaction holds locks, and its code has run: it does not wait for an object store, and
            // is not undone for one.
            if let Err(error) = outside.put_commits(std::slice::from_mut(&mut commit)).await {
                tracing::warn!(%error, execution = %commit.execution, "a large payload of a transaction stays in the database");
            }
            tx.commit(commit).await
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use saga_store::{ErrorKind, Incarnation, Nonce, Seq, Then};

    use super::*;
    use crate::blob_store::{BlobFuture, BlobKey, Listed};

    /// An object store that is away.
    struct Away;

    impl BlobStore for Away {
        fn put(&self, _: BlobKey, _: Bytes) -> BlobFuture<'_, ()> {
            Box::pin(async { Err("away".into()) })
        }

        fn get(&self, _: BlobKey) -> BlobFuture<'_, Option<Bytes>> {
            Box::pin(async { Err("away".into()) })
        }

        fn delete(&self, _: BlobKey) -> BlobFuture<'_, ()> {
            Box::pin(async { Err("away".into()) })
        }

        fn list(&self, _: Option<BlobKey>, _: usize) -> BlobFuture<'_, Vec<Listed>> {
            Box::pin(async { Err("away".into()) })
        }
    }

    /// Notes what is committed.
    struct Noted(Arc<Mutex<Vec<RunCommit>>>);

    impl OpenTx for Noted {
        fn commit(self: Box<Self>, commit: RunCommit) -> TxFuture<'static, TxOutcome> {
            self.0.lock().unwrap().push(commit);
            Box::pin(async { TxOutcome::Applied })
        }
    }

    fn commit() -> RunCommit {
        RunCommit {
            execution: ExecutionId::from_bytes([1; 16]),
            owner: Incarnation::from_bytes([2; 16]),
            seq: Seq(1),
            nonce: Nonce(3),
            rows: Vec::new(),
            blobs: vec![Blob { id: BlobId::from_bytes([4; 16]), bytes: Bytes::from_static(b"large") }],
            inbox_seen: None,
            outbox: Vec::new(),
            sent: Vec::new(),
            change: None,
            status: None,
            then: Then::Keep,
            tx: None,
        }
    }

    #[tokio::test]
    async fn a_transaction_does_not_wait_for_an_object_store_that_is_away() {
        let noted = Arc::<Mutex<Vec<RunCommit>>>::default();
        let outside = Outside { blobs: Arc::new(Away), over: 0 };
        let tx = Box::new(SplitTx { tx: Box::new(Noted(Arc::clone(&noted))), outside: outside.clone() });
        assert!(matches!(tx.commit(commit()).await, TxOutcome::Applied));
        assert_eq!(noted.lock().unwrap()[0].blobs[0].bytes, "large");
        let error = outside.put_commits(&mut [commit()]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "others wait: {error}");
    }
}
