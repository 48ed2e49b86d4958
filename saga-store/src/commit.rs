//! The one write of the hot path.

use bytes::Bytes;

use crate::error::StoreError;
use crate::ids::{BuildId, ExecutionId, Incarnation, MessageId, Nonce, Seq, Timestamp};
use crate::message::Message;
use crate::run::RunState;
use crate::tx::TxStep;
pub use crate::wire::{Blob, Row};

/// A change of what lists and clients see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateChange {
    /// The state from now on.
    pub state: RunState,
    /// How the run ended, if it did.
    pub conclusion: Option<Bytes>,
}

/// What happens to the ownership of the run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Then {
    /// The worker keeps it.
    #[default]
    Keep,
    /// The worker lets it go until `wake_at`, or a message beyond those seen, whichever is first.
    /// If there is one already the worker keeps it and is told so ([`Applied::stay`]).
    Release {
        /// When it is due; `None` waits for a message only.
        wake_at: Option<Timestamp>,
        /// A build that could not drive it and shall not be given it again.
        not_build: Option<BuildId>,
    },
    /// It has ended: nobody owns it.
    End,
}

/// All that one run commits at one time. Atomic; fenced by the append of its rows.
#[derive(Debug)]
pub struct RunCommit {
    /// The journal.
    pub execution: ExecutionId,
    /// The worker that says it owns the run.
    pub owner: Incarnation,
    /// Where the first row goes. If that place is taken nothing of this commit is applied.
    pub seq: Seq,
    /// The mark of its rows.
    pub nonce: Nonce,
    /// The rows, at consecutive places. Never empty, unless `tx` brings the only row.
    pub rows: Vec<Row>,
    /// Large payloads that the rows refer to.
    pub blobs: Vec<Blob>,
    /// All inbox messages up to this position are consumed.
    pub inbox_seen: Option<u64>,
    /// Messages to send once this is durable.
    pub outbox: Vec<Message>,
    /// Messages of earlier commits that have been delivered and can be forgotten.
    pub sent: Vec<MessageId>,
    /// What lists and clients see from now on.
    pub change: Option<StateChange>,
    /// A new status for clients.
    pub status: Option<Bytes>,
    /// Ownership from now on.
    pub then: Then,
    /// A step to run in the same transaction, before the rows are appended. If it keeps its
    /// writes its record replaces the last of `rows` (or is the only row).
    pub tx: Option<TxStep>,
}

impl RunCommit {
    /// A commit that brings nothing yet, not even rows, and keeps the run.
    ///
    /// ```
    /// use saga_store::wire::Row;
    /// use saga_store::{ExecutionId, Incarnation, Nonce, RunCommit, Seq};
    ///
    /// let (execution, owner) = (ExecutionId::from_bytes([1; 16]), Incarnation::from_bytes([2; 16]));
    /// let row = Row { body: "a record".into(), more: false };
    /// let commit = RunCommit { rows: vec![row], ..RunCommit::empty(execution, owner, Seq(1), Nonce(7)) };
    /// assert!(commit.outbox.is_empty() && commit.change.is_none());
    /// ```
    pub fn empty(execution: ExecutionId, owner: Incarnation, seq: Seq, nonce: Nonce) -> Self {
        Self {
            execution,
            owner,
            seq,
            nonce,
            rows: Vec::new(),
            blobs: Vec::new(),
            inbox_seen: None,
            outbox: Vec::new(),
            sent: Vec::new(),
            change: None,
            status: None,
            then: Then::Keep,
            tx: None,
        }
    }
}

/// What became of one run's commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitOutcome {
    /// It is durable.
    Applied(Applied),
    /// Its place is taken by another writer's record, or the run is gone: the worker no longer
    /// owns the run and must drop it.
    Refused {
        /// The place of the journal's last record, if there is any.
        head: Option<Seq>,
    },
    /// The store cannot take it, and says why; the others of the batch are not affected.
    Rejected(String),
}

/// More about a commit that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Applied {
    /// The inbox has more than the worker had seen: the run was not released.
    pub stay: bool,
}

/// Commits that gather while a call of [`Store::commit_gathering`](crate::Store::commit_gathering) waits for its turn.
///
/// ```
/// use saga_store::{Gathering, RunCommit};
///
/// /// What a store writes once it has its turn.
/// fn group(mut commits: Vec<RunCommit>, gathering: &dyn Gathering) -> Vec<RunCommit> {
///     gathering.take_into(&mut commits);
///     commits
/// }
/// # drop(group);
/// ```
pub trait Gathering: Send + Sync {
    /// Adds those that have come by now to the call's own, at their end. Whoever takes them answers
    /// them with the others, in this order; so it is asked within the call and not after. It may add none, and
    /// waits for nothing: any thread can ask.
    fn take_into(&self, commits: &mut Vec<RunCommit>);
}

/// A batch that got no answer: it may or may not have been applied.
#[derive(Debug)]
pub struct CommitError {
    /// What went wrong.
    pub error: StoreError,
    /// The batch, to be sent again unchanged.
    pub commits: Vec<RunCommit>,
}
