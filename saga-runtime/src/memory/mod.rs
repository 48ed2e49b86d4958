//! The reference store: all in memory, gone with the process.
//!
//! It is the contract of [`saga_store::Store`] in its plainest form, for tests and for programs
//! whose runs need not outlive them. A clone is another handle to the same store, so a second
//! engine over a clone is a restart of the first; [`MemoryStore::crash`] tells the store that
//! the first is dead.
//!
//! - `state`: what is kept, and who holds each run.
//! - `write`: starts, commits, messages.
//! - `ready`: who owns what, and who gets what next.
//! - `read`: everything that changes nothing.

#[cfg(feature = "test")]
pub(crate) mod hook;
mod read;
mod ready;
mod state;
#[cfg(test)]
mod tests;
mod write;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use saga_store::{
    Beat, BlobId, Claim, ClaimedRun, CommitError, CommitOutcome, Delivery, Differences, ErrorKind, ExecutionId, Hint,
    HintStream, InboxMessage, Incarnation, Joined, LoadedRun, Message, MessageId, NewRun, NodeInfo, Page, Purged,
    Query, RunCommit, RunId, RunView, Started, Store, StoreError, Timestamp,
};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{self, Receiver, Sender};

use state::State;

/// How many hints a slow reader may be behind before it is told to look at everything.
const HINTS: usize = 1024;

/// A store that keeps everything in memory. A clone is a handle to the same store.
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
    #[cfg(feature = "test")]
    hook: Option<Arc<dyn hook::Hook>>,
}

struct Shared {
    state: Mutex<State>,
    clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
    hints: Sender<Hint>,
}

impl MemoryStore {
    /// An empty store that goes by the machine's clock.
    pub fn new() -> Self {
        Self::with_clock(Timestamp::from_system_clock)
    }

    /// An empty store that goes by this clock.
    pub fn with_clock(clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        let (hints, _) = broadcast::channel(HINTS);
        Self {
            shared: Arc::new(Shared { state: Mutex::default(), clock: Box::new(clock), hints }),
            #[cfg(feature = "test")]
            hook: None,
        }
    }

    /// Takes every worker that is a member now for dead: the next join reports them as proven
    /// dead, as if their process had been killed.
    ///
    /// A worker that lives on can still append, until its runs are taken over: as in any store
    /// the fence alone stops it.
    pub fn crash(&self) {
        self.with(|state, _, _| state.members.values_mut().for_each(|member| member.dead = true));
    }

    /// Takes one worker for dead, as [`crash`](Self::crash) does for all.
    pub fn declare_dead(&self, incarnation: Incarnation) {
        self.with(|state, _, _| {
            if let Some(member) = state.members.get_mut(&incarnation) {
                member.dead = true;
            }
        });
    }

    /// Runs one operation alone, at one moment; hints go out after it.
    fn with<T>(&self, operation: impl FnOnce(&mut State, Timestamp, &mut Vec<Hint>) -> T) -> T {
        let mut hints = Vec::new();
        let answer = {
            // A panic between two writes of one operation is a defect of this module, not of its
            // callers; the maps themselves stay whole.
            let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
            let now = (self.shared.clock)();
            operation(&mut state, now, &mut hints)
        };
        for hint in hints {
            // Nobody listening is no failure.
            let _ = self.shared.hints.send(hint);
        }
        answer
    }

    /// Writes commits, one by one.
    pub(crate) fn append(&self, commits: Vec<RunCommit>) -> Vec<CommitOutcome> {
        self.with(|state, now, hints| commits.into_iter().map(|commit| state.commit(commit, now, hints)).collect())
    }

    /// A call begins: a test may delay it, or let it fail.
    #[cfg(feature = "test")]
    async fn enter(&self, verb: hook::Verb) -> Result<(), StoreError> {
        match &self.hook {
            Some(hook) => hook.enter(verb).await,
            None => Ok(()),
        }
    }

    fn read<T>(&self, operation: impl FnOnce(&State) -> T) -> T {
        operation(&self.shared.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = self.read(|state| state.runs.len());
        f.debug_struct("MemoryStore").field("runs", &runs).finish_non_exhaustive()
    }
}

fn no_member(incarnation: Incarnation) -> StoreError {
    StoreError::new(
        ErrorKind::Locked,
        format!("the worker {incarnation} is not a member of this store; join with a new incarnation"),
    )
}

impl Store for MemoryStore {
    fn kind(&self) -> &'static str {
        "memory"
    }

    async fn join(&self, node: &NodeInfo) -> Result<Joined, StoreError> {
        #[cfg(feature = "test")]
        self.enter(hook::Verb::Join).await?;
        let joined = self.with(|state, now, _| state.join(node, now));
        #[cfg(feature = "test")]
        self.answer(hook::Answer::Joined(node));
        Ok(joined)
    }

    async fn beat(&self, incarnation: Incarnation) -> Result<Beat, StoreError> {
        #[cfg(feature = "test")]
        self.enter(hook::Verb::Beat).await?;
        #[cfg_attr(not(feature = "test"), expect(unused_mut, reason = "a test may change it"))]
        let mut beat = self.with(|state, now, _| state.beat(incarnation, now));
        #[cfg(feature = "test")]
        self.answer(hook::Answer::Beat(&mut beat));
        Ok(beat)
    }

    async fn leave(&self, incarnation: Incarnation) -> Result<(), StoreError> {
        self.with(|state, now, hints| state.leave(incarnation, now, hints));
        Ok(())
    }

    async fn start(&self, runs: Vec<NewRun>) -> Result<Vec<Started>, StoreError> {
        #[cfg(feature = "test")]
        self.enter(hook::Verb::Start).await?;
        Ok(self.with(|state, now, hints| runs.into_iter().map(|run| state.start(run, now, hints)).collect()))
    }

    async fn commit(&self, commits: Vec<RunCommit>) -> Result<Vec<CommitOutcome>, CommitError> {
        #[cfg(feature = "test")]
        if let Some(hook) = &self.hook {
            return hook.commit(self, commits).await;
        }
        Ok(self.append(commits))
    }

    async fn deliver(&self, messages: Vec<Message>) -> Result<Vec<Delivery>, StoreError> {
        #[cfg(feature = "test")]
        self.enter(hook::Verb::Deliver).await?;
        Ok(self.with(|state, now, hints| state.deliver_all(messages, None, now, hints).0))
    }

    async fn deliver_and_claim(
        &self,
        messages: Vec<Message>,
        claim: &Claim,
    ) -> Result<(Vec<Delivery>, Vec<ClaimedRun>), StoreError> {
        #[cfg(feature = "test")]
        self.enter(hook::Verb::Deliver).await?;
        #[cfg_attr(not(feature = "test"), expect(unused_mut, reason = "a test may change it"))]
        let (answers, mut claimed) =
            self.with(|state, now, hints| state.deliver_all(messages, Some(claim), now, hints));
        #[cfg(feature = "test")]
        self.answer(hook::Answer::Claimed(&mut claimed));
        Ok((answers, claimed))
    }

    async fn claim(&self, claim: &Claim) -> Result<Vec<ClaimedRun>, StoreError> {
        #[cfg(feature = "test")]
        self.enter(hook::Verb::Claim).await?;
        #[cfg_attr(not(feature = "test"), expect(unused_mut, reason = "a test may change it"))]
        let mut claimed = self.with(|state, now, _| state.claim(claim, now));
        #[cfg(feature = "test")]
        if let Some(claimed) = &mut claimed {
            self.answer(hook::Answer::Claimed(claimed));
        }
        claimed.ok_or_else(|| no_member(claim.incarnation))
    }

    async fn adopt(&self, dead: Incarnation, by: Incarnation, max: usize) -> Result<Vec<ClaimedRun>, StoreError> {
        #[cfg(feature = "test")]
        self.enter(hook::Verb::Adopt).await?;
        #[cfg_attr(not(feature = "test"), expect(unused_mut, reason = "a test may change it"))]
        let mut adopted = self.with(|state, now, _| state.adopt(dead, by, max, now));
        #[cfg(feature = "test")]
        if let Some(adopted) = &mut adopted {
            self.answer(hook::Answer::Claimed(adopted));
        }
        adopted.ok_or_else(|| no_member(by))
    }

    async fn reconcile(
        &self,
        owner: Incarnation,
        driven: &[ExecutionId],
        max: usize,
    ) -> Result<Differences, StoreError> {
        #[cfg(feature = "test")]
        self.enter(hook::Verb::Reconcile).await?;
        #[cfg_attr(not(feature = "test"), expect(unused_mut, reason = "a test may change it"))]
        let mut found = self.read(|state| state.reconcile(owner, driven, max));
        #[cfg(feature = "test")]
        self.answer(hook::Answer::Reconciled(&mut found));
        Ok(found)
    }

    async fn next_wake(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.read(State::next_wake))
    }

    async fn load(&self, executions: &[ExecutionId]) -> Result<Vec<LoadedRun>, StoreError> {
        #[cfg(feature = "test")]
        self.enter(hook::Verb::Load).await?;
        #[cfg_attr(not(feature = "test"), expect(unused_mut, reason = "a test may change it"))]
        let mut loaded = self.read(|state| state.load(executions));
        #[cfg(feature = "test")]
        self.answer(hook::Answer::Loaded(&mut loaded));
        Ok(loaded)
    }

    async fn inbox(&self, execution: ExecutionId, after: u64) -> Result<Vec<InboxMessage>, StoreError> {
        #[cfg(feature = "test")]
        self.enter(hook::Verb::Inbox).await?;
        Ok(self.read(|state| state.inbox(execution, after)))
    }

    async fn outbox(&self, owner: Incarnation, limit: usize) -> Result<Vec<(ExecutionId, Message)>, StoreError> {
        Ok(self.read(|state| state.outbox(owner, limit)))
    }

    async fn forget(&self, messages: Vec<MessageId>) -> Result<(), StoreError> {
        self.with(|state, _, _| state.outbox.retain(|_, sent| !messages.contains(&sent.message.id)));
        Ok(())
    }

    async fn blobs(&self, execution: ExecutionId, ids: &[BlobId]) -> Result<Vec<(BlobId, Bytes)>, StoreError> {
        Ok(self.read(|state| state.blobs(execution, ids)))
    }

    fn hints(&self) -> Box<dyn HintStream> {
        Box::new(Hints {
            receiver: self.shared.hints.subscribe(),
            #[cfg(feature = "test")]
            hook: self.hook.clone(),
        })
    }

    async fn get(&self, id: &RunId) -> Result<Option<RunView>, StoreError> {
        Ok(self.read(|state| state.newest(id).map(|run| run.view.clone())))
    }

    async fn get_execution(&self, execution: ExecutionId) -> Result<Option<RunView>, StoreError> {
        Ok(self.read(|state| state.runs.get(&execution).map(|run| run.view.clone())))
    }

    async fn ended(&self, executions: &[ExecutionId]) -> Result<Vec<ExecutionId>, StoreError> {
        let is_live =
            |state: &State, execution| state.runs.get(execution).is_some_and(|run| !run.view.state.is_final());
        Ok(self.read(|state| executions.iter().filter(|execution| !is_live(state, execution)).copied().collect()))
    }

    async fn list(&self, query: &Query) -> Result<Page, StoreError> {
        Ok(self.read(|state| state.list(query)))
    }

    async fn purge(&self, before: Timestamp, budget: usize) -> Result<Purged, StoreError> {
        Ok(self.with(|state, _, _| state.purge(before, budget)))
    }

    async fn purge_these(&self, executions: &[ExecutionId]) -> Result<Vec<ExecutionId>, StoreError> {
        Ok(self.with(|state, _, _| state.purge_these(executions)))
    }
}

struct Hints {
    receiver: Receiver<Hint>,
    #[cfg(feature = "test")]
    hook: Option<Arc<dyn hook::Hook>>,
}

impl HintStream for Hints {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Option<Hint>> + Send + '_>> {
        Box::pin(async {
            #[cfg(feature = "test")]
            if let Some(hook) = &self.hook {
                while hook.loses_hint() && !matches!(self.receiver.recv().await, Err(RecvError::Closed)) {}
            }
            match self.receiver.recv().await {
                Ok(hint) => Some(hint),
                Err(RecvError::Lagged(_)) => Some(Hint::Anything),
                Err(RecvError::Closed) => None,
            }
        })
    }
}
