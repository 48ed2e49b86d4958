//! The store around a store.

use std::sync::Arc;

use bytes::Bytes;
use saga_store::{
    BlobId, Claim, ClaimedRun, CommitError, CommitOutcome, Delivery, ErrorKind, ExecutionId, InboxMessage, Incarnation,
    LoadedRun, Message, NewRun, OpenTx, Page, Query, RunCommit, RunId, RunView, Seq, Started, Store, StoreError,
    Transacted, TxFuture, TxLimits, TxOutcome, TxStep,
};

use crate::seal::{OpenError, Place, Seal};

/// Any store, with all that runs say sealed on the way in and opened on the way out.
///
/// It is a [`Store`] like the one inside: the same transactions, hints, claims and errors. All
/// workers and clients of one database need the same keys. See the [crate's page](crate).
///
/// # Cost
///
/// About 50 bytes a piece for encryption, and a few microseconds of processor time for each
/// kilobyte. No additional call of the store.
#[derive(Debug, Clone)]
pub struct SealedStore<S> {
    inner: S,
    seal: Arc<Seal>,
}

impl<S> SealedStore<S> {
    /// Seals what goes into `inner`.
    pub fn new(inner: S, seal: Seal) -> Self {
        Self { inner, seal: Arc::new(seal) }
    }

    /// The store inside, where everything is sealed.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    fn close(&self, place: Place, bytes: &mut Bytes) {
        *bytes = self.seal.close(place, std::mem::take(bytes));
    }

    /// Opens in place. A missing key is the whole process's mistake, and is reported as such; a
    /// broken piece is one run's, so its bytes stay, which no decoder takes for a record.
    fn open(&self, place: Place, bytes: &mut Bytes) -> Result<(), StoreError> {
        match self.seal.open(place, bytes.clone()) {
            Ok(plain) => *bytes = plain,
            Err(OpenError::MissingKey(id)) => {
                let error = OpenError::MissingKey(id);
                return Err(StoreError::new(ErrorKind::Unavailable, format!("{place} cannot be opened: {error}"))
                    .with_source(error));
            }
            Err(error) => {
                tracing::error!(%place, %error, "a stored piece cannot be opened; the run that needs it cannot go on");
            }
        }
        Ok(())
    }

    fn close_rows(&self, execution: ExecutionId, seq: Seq, rows: &mut [saga_store::Row]) {
        for (offset, row) in (0..).zip(rows) {
            self.close(Place::Row(execution, seq.plus(offset)), &mut row.body);
        }
    }

    fn close_run(&self, run: &mut NewRun) {
        self.close(Place::Row(run.execution, Seq(0)), &mut run.first);
        if let Some(memo) = &mut run.memo {
            self.close(Place::Memo(run.execution), memo);
        }
        for blob in &mut run.blobs {
            self.close(Place::Blob(blob.id), &mut blob.bytes);
        }
        for (id, body) in &mut run.messages {
            self.close(Place::Message(*id), body);
        }
    }

    fn close_commit(&self, commit: &mut RunCommit) {
        let (execution, seq) = (commit.execution, commit.seq);
        self.close_rows(execution, seq, &mut commit.rows);
        for blob in &mut commit.blobs {
            self.close(Place::Blob(blob.id), &mut blob.bytes);
        }
        for message in &mut commit.outbox {
            self.close(Place::Message(message.id), &mut message.body);
        }
        if let Some(step) = &mut commit.tx {
            let seal = Arc::clone(&self.seal);
            step.rewrite_rows(move |seq, body| seal.close(Place::Row(execution, seq), body));
        }
        if let Some(conclusion) = commit.change.as_mut().and_then(|change| change.conclusion.as_mut()) {
            self.close(Place::Conclusion(execution), conclusion);
        }
        if let Some(status) = &mut commit.status {
            self.close(Place::Status(execution), status);
        }
    }

    /// What the caller gets back to send again, as it was.
    fn open_commit(&self, commit: &mut RunCommit) -> Result<(), StoreError> {
        let (execution, seq) = (commit.execution, commit.seq);
        for (offset, row) in (0..).zip(&mut commit.rows) {
            self.open(Place::Row(execution, seq.plus(offset)), &mut row.body)?;
        }
        for blob in &mut commit.blobs {
            self.open(Place::Blob(blob.id), &mut blob.bytes)?;
        }
        for message in &mut commit.outbox {
            self.open(Place::Message(message.id), &mut message.body)?;
        }
        if let Some(conclusion) = commit.change.as_mut().and_then(|change| change.conclusion.as_mut()) {
            self.open(Place::Conclusion(execution), conclusion)?;
        }
        if let Some(status) = &mut commit.status {
            self.open(Place::Status(execution), status)?;
        }
        Ok(())
    }

    fn open_view(&self, view: &mut RunView) -> Result<(), StoreError> {
        if let Some(conclusion) = &mut view.conclusion {
            self.open(Place::Conclusion(view.execution), conclusion)?;
        }
        if let Some(memo) = &mut view.memo {
            self.open(Place::Memo(view.execution), memo)?;
        }
        if let Some(status) = &mut view.status {
            self.open(Place::Status(view.execution), status)?;
        }
        Ok(())
    }

    fn open_inbox(&self, messages: &mut [InboxMessage]) -> Result<(), StoreError> {
        messages.iter_mut().try_for_each(|message| self.open(Place::Message(message.id), &mut message.body))
    }

    fn open_run(&self, run: &mut LoadedRun) -> Result<(), StoreError> {
        let execution = run.view.execution;
        self.open_view(&mut run.view)?;
        for row in &mut run.journal {
            self.open(Place::Row(execution, row.seq), &mut row.body)?;
        }
        self.open_inbox(&mut run.inbox)
    }
}

impl<S: Store> Store for SealedStore<S> {
    saga_store::forward! {
        kind commit_lanes join beat leave tell claim adopt reconcile next_wake forget hints ended purge
        purge_these
    }

    async fn start(&self, mut runs: Vec<NewRun>) -> Result<Vec<Started>, StoreError> {
        for run in &mut runs {
            self.close_run(run);
        }
        self.inner.start(runs).await
    }

    async fn commit(&self, mut commits: Vec<RunCommit>) -> Result<Vec<CommitOutcome>, CommitError> {
        for commit in &mut commits {
            self.close_commit(commit);
        }
        match self.inner.commit(commits).await {
            Err(CommitError { error, mut commits }) => {
                // What was sealed a moment ago opens with the same keys.
                for commit in &mut commits {
                    if let Err(error) = self.open_commit(commit) {
                        return Err(CommitError { error, commits });
                    }
                }
                Err(CommitError { error, commits })
            }
            answers => answers,
        }
    }

    async fn transact(&self, step: TxStep, limits: TxLimits) -> Result<Transacted, StoreError> {
        Ok(match self.inner.transact(step, limits).await? {
            Transacted::Open(tx) => Transacted::Open(Box::new(SealedTx { tx, seal: Arc::clone(&self.seal) })),
            other => other,
        })
    }

    fn start_within(&self, run: &mut NewRun) -> Option<&str> {
        self.close_run(run);
        self.inner.start_within(run)
    }

    async fn deliver(&self, mut messages: Vec<Message>) -> Result<Vec<Delivery>, StoreError> {
        for message in &mut messages {
            self.close(Place::Message(message.id), &mut message.body);
        }
        self.inner.deliver(messages).await
    }

    async fn deliver_and_claim(
        &self,
        mut messages: Vec<Message>,
        claim: &Claim,
    ) -> Result<(Vec<Delivery>, Vec<ClaimedRun>), StoreError> {
        for message in &mut messages {
            self.close(Place::Message(message.id), &mut message.body);
        }
        self.inner.deliver_and_claim(messages, claim).await
    }

    async fn load(&self, executions: &[ExecutionId]) -> Result<Vec<LoadedRun>, StoreError> {
        let mut runs = self.inner.load(executions).await?;
        runs.iter_mut().try_for_each(|run| self.open_run(run))?;
        Ok(runs)
    }

    async fn inbox(&self, execution: ExecutionId, after: u64) -> Result<Vec<InboxMessage>, StoreError> {
        let mut messages = self.inner.inbox(execution, after).await?;
        self.open_inbox(&mut messages)?;
        Ok(messages)
    }

    async fn outbox(&self, owner: Incarnation, limit: usize) -> Result<Vec<(ExecutionId, Message)>, StoreError> {
        let mut messages = self.inner.outbox(owner, limit).await?;
        for (_, message) in &mut messages {
            self.open(Place::Message(message.id), &mut message.body)?;
        }
        Ok(messages)
    }

    async fn blobs(&self, execution: ExecutionId, ids: &[BlobId]) -> Result<Vec<(BlobId, Bytes)>, StoreError> {
        let mut blobs = self.inner.blobs(execution, ids).await?;
        for (id, bytes) in &mut blobs {
            self.open(Place::Blob(*id), bytes)?;
        }
        Ok(blobs)
    }

    async fn get(&self, id: &RunId) -> Result<Option<RunView>, StoreError> {
        let mut view = self.inner.get(id).await?;
        view.iter_mut().try_for_each(|view| self.open_view(view))?;
        Ok(view)
    }

    async fn get_execution(&self, execution: ExecutionId) -> Result<Option<RunView>, StoreError> {
        let mut view = self.inner.get_execution(execution).await?;
        view.iter_mut().try_for_each(|view| self.open_view(view))?;
        Ok(view)
    }

    async fn list(&self, query: &Query) -> Result<Page, StoreError> {
        let mut page = self.inner.list(query).await?;
        page.runs.iter_mut().try_for_each(|view| self.open_view(view))?;
        Ok(page)
    }
}

/// A transaction whose record is sealed before it is appended.
struct SealedTx {
    tx: Box<dyn OpenTx>,
    seal: Arc<Seal>,
}

impl OpenTx for SealedTx {
    fn commit(self: Box<Self>, mut commit: RunCommit) -> TxFuture<'static, TxOutcome> {
        SealedStore { inner: (), seal: self.seal }.close_commit(&mut commit);
        self.tx.commit(commit)
    }
}
