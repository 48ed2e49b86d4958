//! A store that notes each write in its order, so that a test can have a part of them again in
//! another store: what a worker left that died after any of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use saga_store::{
    Beat, BlobId, BuildId, Claim, ClaimedRun, CommitError, CommitOutcome, Delivery, Differences, ExecutionId, Hint,
    HintStream, InboxMessage, Incarnation, Joined, LoadedRun, Message, MessageId, NewRun, NodeInfo, Page, Purged,
    Query, RunCommit, RunId, RunView, Started, Store, StoreError, Timestamp,
};

/// One write that a store took.
#[derive(Debug)]
pub enum Write {
    /// A run was started.
    Start(NewRun),
    /// A run has committed.
    Commit(RunCommit),
    /// A message was put into an inbox.
    Deliver(Message),
    /// Delivered messages were forgotten.
    Forget(Vec<MessageId>),
}

/// A store around a store, with a note of what it took. A clone is the same one.
#[derive(Debug, Clone)]
pub struct Recorder<S> {
    inner: S,
    writes: Arc<Mutex<Vec<Write>>>,
    /// One call at a time: nobody sees a write that is not noted.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl<S: Store> Recorder<S> {
    /// Around this store, in which nothing is yet.
    pub fn new(inner: S) -> Self {
        Self { inner, writes: Arc::default(), turn: Arc::default() }
    }

    /// Takes what was written.
    pub fn take(&self) -> Vec<Write> {
        std::mem::take(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Write>> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts these writes into an empty store, as workers left them that are gone.
///
/// # Panics
///
/// If the store does not take them as the first one did.
pub async fn write_again(store: &impl Store, writes: &[Write]) {
    let mut workers: Vec<Incarnation> = Vec::new();
    for write in writes {
        let worker = match write {
            Write::Start(new) => new.claim_for,
            Write::Commit(commit) => Some(commit.owner),
            Write::Deliver(_) | Write::Forget(_) => None,
        };
        if let Some(worker) = worker.filter(|worker| !workers.contains(worker)) {
            let (build, lease) = (BuildId("old".into()), Duration::from_secs(1));
            let node = NodeInfo { name: "old".to_owned(), incarnation: worker, build, lease };
            store.join(&node).await.expect("a worker joins");
            workers.push(worker);
        }
        match write {
            Write::Start(new) => {
                let started = store.start(vec![new.clone()]).await.expect("a start is answered");
                assert_eq!(started, [Started::New], "{new:?}");
            }
            Write::Commit(commit) => {
                let outcome = store.commit(vec![copy(commit)]).await.expect("a commit is answered");
                assert!(matches!(outcome.as_slice(), [CommitOutcome::Applied(_)]), "{outcome:?} to {commit:?}");
            }
            Write::Deliver(message) => {
                let delivered = store.deliver(vec![message.clone()]).await.expect("a delivery is answered");
                assert!(matches!(delivered.as_slice(), [Delivery::New(_)]), "{delivered:?} to {message:?}");
            }
            Write::Forget(messages) => store.forget(messages.clone()).await.expect("messages are forgotten"),
        }
    }
    for worker in workers {
        store.leave(worker).await.expect("a worker leaves");
    }
}

/// The same commit once more.
///
/// # Panics
///
/// If it has a transactional step, whose code cannot be copied.
fn copy(commit: &RunCommit) -> RunCommit {
    assert!(commit.tx.is_none(), "a step's code cannot be copied");
    RunCommit {
        execution: commit.execution,
        owner: commit.owner,
        seq: commit.seq,
        nonce: commit.nonce,
        rows: commit.rows.clone(),
        blobs: commit.blobs.clone(),
        inbox_seen: commit.inbox_seen,
        outbox: commit.outbox.clone(),
        sent: commit.sent.clone(),
        change: commit.change.clone(),
        status: commit.status.clone(),
        then: commit.then.clone(),
        tx: None,
    }
}

impl<S: Store> Store for Recorder<S> {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    async fn join(&self, node: &NodeInfo) -> Result<Joined, StoreError> {
        self.inner.join(node).await
    }

    async fn beat(&self, incarnation: Incarnation) -> Result<Beat, StoreError> {
        self.inner.beat(incarnation).await
    }

    async fn leave(&self, incarnation: Incarnation) -> Result<(), StoreError> {
        self.inner.leave(incarnation).await
    }

    async fn start(&self, runs: Vec<NewRun>) -> Result<Vec<Started>, StoreError> {
        let _turn = self.turn.lock().await;
        let answers = self.inner.start(runs.clone()).await?;
        let new = runs.into_iter().zip(&answers).filter(|(_, answer)| **answer == Started::New);
        self.lock().extend(new.map(|(run, _)| Write::Start(run)));
        Ok(answers)
    }

    async fn commit(&self, commits: Vec<RunCommit>) -> Result<Vec<CommitOutcome>, CommitError> {
        let _turn = self.turn.lock().await;
        let copies: Vec<_> = commits.iter().map(copy).collect();
        let answers = self.inner.commit(commits).await?;
        let applied =
            copies.into_iter().zip(&answers).filter(|(_, answer)| matches!(answer, CommitOutcome::Applied(_)));
        self.lock().extend(applied.map(|(commit, _)| Write::Commit(commit)));
        Ok(answers)
    }

    fn tell(&self, hint: Hint) {
        self.inner.tell(hint);
    }

    async fn deliver(&self, messages: Vec<Message>) -> Result<Vec<Delivery>, StoreError> {
        let _turn = self.turn.lock().await;
        let answers = self.inner.deliver(messages.clone()).await?;
        let new = messages.into_iter().zip(&answers).filter(|(_, answer)| matches!(answer, Delivery::New(_)));
        self.lock().extend(new.map(|(message, _)| Write::Deliver(message)));
        Ok(answers)
    }

    async fn claim(&self, claim: &Claim) -> Result<Vec<ClaimedRun>, StoreError> {
        self.inner.claim(claim).await
    }

    async fn adopt(&self, dead: Incarnation, by: Incarnation, max: usize) -> Result<Vec<ClaimedRun>, StoreError> {
        self.inner.adopt(dead, by, max).await
    }

    async fn reconcile(
        &self,
        owner: Incarnation,
        driven: &[ExecutionId],
        max: usize,
    ) -> Result<Differences, StoreError> {
        self.inner.reconcile(owner, driven, max).await
    }

    async fn next_wake(&self) -> Result<Option<Timestamp>, StoreError> {
        self.inner.next_wake().await
    }

    async fn load(&self, executions: &[ExecutionId]) -> Result<Vec<LoadedRun>, StoreError> {
        let _turn = self.turn.lock().await;
        self.inner.load(executions).await
    }

    async fn inbox(&self, execution: ExecutionId, after: u64) -> Result<Vec<InboxMessage>, StoreError> {
        let _turn = self.turn.lock().await;
        self.inner.inbox(execution, after).await
    }

    async fn outbox(&self, owner: Incarnation, limit: usize) -> Result<Vec<(ExecutionId, Message)>, StoreError> {
        self.inner.outbox(owner, limit).await
    }

    async fn forget(&self, messages: Vec<MessageId>) -> Result<(), StoreError> {
        let _turn = self.turn.lock().await;
        self.inner.forget(messages.clone()).await?;
        self.lock().push(Write::Forget(messages));
        Ok(())
    }

    async fn blobs(&self, execution: ExecutionId, ids: &[BlobId]) -> Result<Vec<(BlobId, Bytes)>, StoreError> {
        self.inner.blobs(execution, ids).await
    }

    fn hints(&self) -> Box<dyn HintStream> {
        self.inner.hints()
    }

    async fn get(&self, id: &RunId) -> Result<Option<RunView>, StoreError> {
        self.inner.get(id).await
    }

    async fn get_execution(&self, execution: ExecutionId) -> Result<Option<RunView>, StoreError> {
        self.inner.get_execution(execution).await
    }

    async fn ended(&self, executions: &[ExecutionId]) -> Result<Vec<ExecutionId>, StoreError> {
        self.inner.ended(executions).await
    }

    async fn list(&self, query: &Query) -> Result<Page, StoreError> {
        self.inner.list(query).await
    }

    async fn purge(&self, before: Timestamp, budget: usize) -> Result<Purged, StoreError> {
        self.inner.purge(before, budget).await
    }

    async fn purge_these(&self, executions: &[ExecutionId]) -> Result<Vec<ExecutionId>, StoreError> {
        self.inner.purge_these(executions).await
    }
}
