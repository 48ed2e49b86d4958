//! The trait that a store implements.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use crate::commit::{CommitError, CommitOutcome, Gathering, RunCommit};
use crate::error::StoreError;
use crate::ids::{BlobId, BuildId, ExecutionId, Incarnation, MessageId, RunId, Timestamp};
use crate::message::{Delivery, InboxMessage, Message};
use crate::open::{Transacted, TxLimits};
use crate::run::{Claim, ClaimedRun, LoadedRun, NewRun, Page, Query, RunView, Started};
use crate::tx::TxStep;

/// Who joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeInfo {
    /// What operators call the worker. Not unique, and nothing relies on it.
    pub name: String,
    /// A fresh id for this life of the worker.
    pub incarnation: Incarnation,
    /// What it was built from: others look whether a build is there that a run may be left to.
    pub build: BuildId,
    /// How long after its last beat others may take its runs.
    pub lease: std::time::Duration,
}

/// A worker's membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The store's time.
    pub now: Timestamp,
    /// Workers whose death is proven by this join itself: their runs can be adopted at once.
    pub proven_dead: Vec<Incarnation>,
}

/// The answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// The store's time.
    pub now: Timestamp,
    /// Whether this worker is still a member: if not, its runs are no longer its own.
    pub member: bool,
    /// The other members.
    pub peers: Vec<Peer>,
}

/// Another worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its life.
    pub incarnation: Incarnation,
    /// What it was built from; empty if nobody knows.
    pub build: BuildId,
    /// Whether it was taken for dead, and is here only until all that it had is taken over.
    pub dead: bool,
    /// Its heartbeat's count: unchanged for a whole lease means dead.
    pub beats: u64,
    /// How long after its last beat others may take its runs.
    pub lease: std::time::Duration,
}

/// Something may have changed. Hints can be lost or repeated; nothing relies on them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// Some run is due.
    Ready,
    /// This execution has a message.
    Inbox(ExecutionId),
    /// This execution has ended.
    Ended(ExecutionId),
    /// This execution has another state or status, and has not ended.
    Changed(ExecutionId),
    /// Something changed, or hints were lost: look at everything that is waited for.
    Anything,
}

/// A lossy stream of hints: each call waits for the next one; `None` when the store is closed.
pub trait HintStream: Send {
    /// The next hint.
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Option<Hint>> + Send + '_>>;
}

/// How what a worker drives differs from what it owns.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Differences {
    /// Runs that it owns and does not drive, as a claim would have given them.
    pub undriven: Vec<ClaimedRun>,
    /// Executions that it drives and does not own.
    pub lost: Vec<ExecutionId>,
    /// Executions that it drives and owns, with messages that no commit has consumed.
    pub unread: Vec<ExecutionId>,
}

/// What a purge removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Purged {
    /// Ended executions that were deleted with their journals.
    pub runs: u64,
    /// Whether there is more to delete.
    pub more: bool,
}

/// Where journals are kept.
///
/// The rules, each held by a test of the conformance suite:
///
/// - **The append is the fence.** A row goes in only where no row is. What else a commit writes
///   is written only if its rows were.
/// - **A commit is atomic for one run.** Nothing needs a transaction over two, but a store may
///   (and should) put many into one.
/// - **Acknowledged means durable**, but for a [claim](Store::claim). An error means *unknown*: the
///   caller sends the same again, and a row with the caller's own nonce at that place means applied.
/// - **One bad row fails no neighbour.** It is answered with `Rejected`.
/// - **Answers come in the order of the requests**, one each.
///
/// Errors are for the whole call only; [`StoreError::is_retryable`] says whether to send it again.
pub trait Store: Send + Sync + 'static {
    /// A short name of the kind of store: `sqlite`. Transactional activities are matched by it.
    fn kind(&self) -> &'static str;

    /// How many calls of [`Store::commit`] it takes at a time, each for other runs, with more
    /// commits a second than one call after another.
    ///
    /// Two suffice where the caller works while the store does. More make groups smaller.
    fn commit_lanes(&self) -> usize {
        1
    }

    /// Makes this worker a member.
    fn join(&self, node: &NodeInfo) -> impl Future<Output = Result<Joined, StoreError>> + Send;

    /// Says that the worker lives, and asks for the time and the others.
    fn beat(&self, incarnation: Incarnation) -> impl Future<Output = Result<Beat, StoreError>> + Send;

    /// Ends the membership; the runs it still owns can be claimed at once, as taken over, and
    /// their deaths are not counted.
    fn leave(&self, incarnation: Incarnation) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Starts runs, each on its own: the write of record 0.
    ///
    /// The same start again answers [`Started::Existing`] with its own execution. Another workflow
    /// under the id is a conflict, whatever was to be done with an existing run.
    fn start(&self, runs: Vec<NewRun>) -> impl Future<Output = Result<Vec<Started>, StoreError>> + Send;

    /// Appends to journals, with all that belongs to the appends.
    ///
    /// An error gives the commits back, to be sent again unchanged. Whoever appends is the owner
    /// from then on; an operator who owns nothing can append too. A release for another build
    /// never stays, and such marks add up. Deaths are cleared by the second commit after a
    /// takeover: a claim record is no progress.
    fn commit(&self, commits: Vec<RunCommit>) -> impl Future<Output = Result<Vec<CommitOutcome>, CommitError>> + Send;

    /// The same for a call that may grow until it has its turn: a store that begins to write later than
    /// it is asked can take what gathers meanwhile, right before it does, so that groups are as large as
    /// they can be. What it has taken it owes an outcome, or gives back with the error.
    ///
    /// As it is, nothing is taken.
    fn commit_gathering(
        &self,
        commits: Vec<RunCommit>,
        gathering: Arc<dyn Gathering>,
    ) -> impl Future<Output = Result<Vec<CommitOutcome>, CommitError>> + Send {
        drop(gathering);
        self.commit(commits)
    }

    /// Runs the code of a step that awaits, in a transaction of its own, and leaves that open.
    /// The second, optional part of the contract: a store without such transactions leaves it out.
    ///
    /// An error means that the store could not be reached, or was lost while the code ran: the
    /// writes are undone, and the code may be run again. Dropping the future undoes them too.
    fn transact(&self, step: TxStep, limits: TxLimits) -> impl Future<Output = Result<Transacted, StoreError>> + Send {
        let _ = limits;
        let (needs, kind) = (step.store_kind(), self.kind());
        let why = format!("the step is written for a store of the kind \"{needs}\", and this one is \"{kind}\"");
        std::future::ready(Ok(Transacted::Rejected(why)))
    }

    /// Prepares a run for a start within a user's own transaction ([`StartTx`](crate::StartTx)),
    /// and says where the store keeps its runs in its database; `None` if it has no such starts.
    fn start_within(&self, run: &mut NewRun) -> Option<&str> {
        let _ = run;
        None
    }

    /// Tells this process and others that something may have changed that the store was not asked
    /// for: a run was started within a user's own transaction.
    fn tell(&self, hint: Hint) {
        let _ = hint;
    }

    /// Puts messages into inboxes.
    fn deliver(&self, messages: Vec<Message>) -> impl Future<Output = Result<Vec<Delivery>, StoreError>> + Send;

    /// The same for a worker, which is given what it could claim of the runs that this wakes, at most
    /// `claim.slots`: it need not ask again for a run that waits for just this. As after a claim they are
    /// its own, and their hints need not be sent.
    ///
    /// A store may give fewer, down to none: what is not given is due as ever. So is all that is delivered
    /// for somebody who is no member. A call that is sent again finds duplicates, and gives nothing for
    /// them: what the first one gave, if its answer was lost, [`Store::reconcile`] tells.
    ///
    /// As it is, nothing is given.
    fn deliver_and_claim(
        &self,
        messages: Vec<Message>,
        claim: &Claim,
    ) -> impl Future<Output = Result<(Vec<Delivery>, Vec<ClaimedRun>), StoreError>> + Send {
        let _ = claim;
        async { Ok((self.deliver(messages).await?, Vec::new())) }
    }

    /// Takes runs that are due: pending ones, released ones whose time has come or that have a
    /// message, ones whose owner left. Round-robin by lane, then priority, then time.
    ///
    /// One that is marked "not this build" is left to others, as long as a living member is of a
    /// build that it is not marked with: else nobody would ever have it, and whoever asks may.
    ///
    /// A claim need not be flushed before it is answered, if a crash that undoes it undoes all that was
    /// committed after it: no record is then left of what was done with the run. If its worker lives on, the
    /// fence decides between it and whoever claims the run next, and it does nothing before it has appended.
    fn claim(&self, claim: &Claim) -> impl Future<Output = Result<Vec<ClaimedRun>, StoreError>> + Send;

    /// Takes up to `max` runs of a dead worker for `by`.
    fn adopt(
        &self,
        dead: Incarnation,
        by: Incarnation,
        max: usize,
    ) -> impl Future<Output = Result<Vec<ClaimedRun>, StoreError>> + Send;

    /// Compares what a worker owns with what it says that it drives; names up to `max` runs that it
    /// does not drive. Changes nothing.
    ///
    /// An answer that was lost, or a mistake, can leave a run with an owner that does not know of
    /// it, and a lost hint a message with nobody who reads it. So each worker asks now and then.
    fn reconcile(
        &self,
        owner: Incarnation,
        driven: &[ExecutionId],
        max: usize,
    ) -> impl Future<Output = Result<Differences, StoreError>> + Send;

    /// When the next run is due that waits for a time, released ones and delayed starts alike.
    fn next_wake(&self) -> impl Future<Output = Result<Option<Timestamp>, StoreError>> + Send;

    /// Reads runs with their journals and unconsumed messages; unknown ones are left out.
    fn load(&self, executions: &[ExecutionId]) -> impl Future<Output = Result<Vec<LoadedRun>, StoreError>> + Send;

    /// Reads messages beyond a position that no commit has consumed, in order; also of an execution
    /// that has ended.
    fn inbox(
        &self,
        execution: ExecutionId,
        after: u64,
    ) -> impl Future<Output = Result<Vec<InboxMessage>, StoreError>> + Send;

    /// Messages that runs of this worker have sent and that are not known to be delivered, oldest
    /// first. They outlive the release and the end of their run and move with [`Store::adopt`].
    fn outbox(
        &self,
        owner: Incarnation,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(ExecutionId, Message)>, StoreError>> + Send;

    /// Forgets messages that have been delivered, of any run: what [`RunCommit::sent`] does for a
    /// run that will commit again. Unknown ones are no error.
    fn forget(&self, messages: Vec<MessageId>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Reads large payloads; unknown ones are left out.
    fn blobs(
        &self,
        execution: ExecutionId,
        ids: &[BlobId],
    ) -> impl Future<Output = Result<Vec<(BlobId, Bytes)>, StoreError>> + Send;

    /// Hints from now on, this process's and others'.
    fn hints(&self) -> Box<dyn HintStream>;

    /// The newest execution of a run.
    fn get(&self, id: &RunId) -> impl Future<Output = Result<Option<RunView>, StoreError>> + Send;

    /// An execution.
    fn get_execution(&self, execution: ExecutionId)
    -> impl Future<Output = Result<Option<RunView>, StoreError>> + Send;

    /// Which of these executions have ended, or are not there: for all that a process waits for at
    /// once. In any order.
    fn ended(&self, executions: &[ExecutionId]) -> impl Future<Output = Result<Vec<ExecutionId>, StoreError>> + Send;

    /// Lists runs, newest first.
    fn list(&self, query: &Query) -> impl Future<Output = Result<Page, StoreError>> + Send;

    /// Deletes up to `budget` executions that ended before a moment, with all that is theirs.
    /// Dead runs stay, since they wait for an operator, and so do runs with messages to send.
    fn purge(&self, before: Timestamp, budget: usize) -> impl Future<Output = Result<Purged, StoreError>> + Send;

    /// Deletes these executions, with all that is theirs, if they have ended and have no messages to
    /// send; a dead one too, since somebody has named it. Gives those that are gone. The others stay
    /// as they are; so may one that ended a moment ago, while commits are under way.
    fn purge_these(
        &self,
        executions: &[ExecutionId],
    ) -> impl Future<Output = Result<Vec<ExecutionId>, StoreError>> + Send;
}
