//! A store that notes each write in its order, so that a test can have a part of them again in
//! another store: what a worker left that died after any of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use saga_store::{
    BuildId, Claim, ClaimedRun, CommitError, CommitOutcome, Delivery, ExecutionId, InboxMessage, Incarnation,
    LoadedRun, Message, MessageId, NewRun, NodeInfo, RunCommit, Started, Store, StoreError,
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

    /// Notes which of these were delivered.
    fn keep(&self, messages: Vec<Message>, answers: &[Delivery]) {
        let new = messages.into_iter().zip(answers).filter(|(_, answer)| matches!(answer, Delivery::New(_)));
        self.lock().extend(new.map(|(message, _)| Write::Deliver(message)));
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
    saga_store::forward! {
        kind join beat leave tell claim adopt reconcile next_wake outbox blobs hints get get_execution ended
        list purge purge_these
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

    async fn deliver(&self, messages: Vec<Message>) -> Result<Vec<Delivery>, StoreError> {
        let _turn = self.turn.lock().await;
        let answers = self.inner.deliver(messages.clone()).await?;
        self.keep(messages, &answers);
        Ok(answers)
    }

    async fn deliver_and_claim(
        &self,
        messages: Vec<Message>,
        claim: &Claim,
    ) -> Result<(Vec<Delivery>, Vec<ClaimedRun>), StoreError> {
        let _turn = self.turn.lock().await;
        let (answers, claimed) = self.inner.deliver_and_claim(messages.clone(), claim).await?;
        self.keep(messages, &answers);
        Ok((answers, claimed))
    }

    async fn load(&self, executions: &[ExecutionId]) -> Result<Vec<LoadedRun>, StoreError> {
        let _turn = self.turn.lock().await;
        self.inner.load(executions).await
    }

    async fn inbox(&self, execution: ExecutionId, after: u64) -> Result<Vec<InboxMessage>, StoreError> {
        let _turn = self.turn.lock().await;
        self.inner.inbox(execution, after).await
    }

    async fn forget(&self, messages: Vec<MessageId>) -> Result<(), StoreError> {
        let _turn = self.turn.lock().await;
        self.inner.forget(messages.clone()).await?;
        self.lock().push(Write::Forget(messages));
        Ok(())
    }
}
