//! What is known of a run without reading its journal.

use bytes::Bytes;

use crate::ids::{BuildId, ExecutionId, Incarnation, MessageId, Nonce, RunId, Timestamp};
use crate::message::InboxMessage;
use crate::wire::{Blob, Conclusion, JournalRow};

/// Where a run stands. `docs` of the engine say which transition follows which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RunState {
    /// Started; no worker has taken it yet.
    Pending,
    /// A worker drives it.
    Running,
    /// It waits on a timer, an event or a child, and may be out of memory.
    Waiting,
    /// An operator stopped it until it is resumed.
    Suspended,
    /// It failed or was cancelled; its steps are being undone.
    Undoing,
    /// It returned a value.
    Completed,
    /// It returned an error; every undo has run.
    Failed,
    /// It was cancelled; every undo has run.
    Cancelled,
    /// An operator ended it without undo.
    Terminated,
    /// It needs an operator.
    Dead,
    /// This execution has ended, and its run goes on in another one under the same id.
    Continued,
}

impl RunState {
    /// All states, in the order of a run's life.
    pub const ALL: [Self; 11] = [
        Self::Pending,
        Self::Running,
        Self::Waiting,
        Self::Suspended,
        Self::Undoing,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::Terminated,
        Self::Dead,
        Self::Continued,
    ];

    /// Whether no record will follow but an operator's. A run whose execution is
    /// [`RunState::Continued`] goes on in another one.
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Self::Completed | Self::Failed | Self::Cancelled | Self::Terminated | Self::Dead | Self::Continued
        )
    }

    /// The state of a run that has ended so.
    pub const fn of(conclusion: &Conclusion) -> Self {
        match conclusion {
            Conclusion::Completed(_) => Self::Completed,
            Conclusion::Failed { .. } => Self::Failed,
            Conclusion::Cancelled(_) => Self::Cancelled,
            Conclusion::Terminated(_) => Self::Terminated,
            Conclusion::Dead { .. } => Self::Dead,
            Conclusion::Continued { .. } => Self::Continued,
        }
    }

    /// The state's name: `completed`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Suspended => "suspended",
            Self::Undoing => "undoing",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Terminated => "terminated",
            Self::Dead => "dead",
            Self::Continued => "continued",
        }
    }

    /// The number under which stores keep the state. Never reused.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The state of a number.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.code() == code)
    }
}

impl std::fmt::Display for RunState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// What to do when a run of that id exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnExisting {
    /// Answer with the run that is there.
    #[default]
    Return,
    /// Answer with the run that is there if it is live; else start a new execution.
    ReplaceFinished,
    /// Answer with the run that is there, as [`OnExisting::Return`] does; the caller takes that for
    /// an error.
    Reject,
    /// Start this execution if, and only if, the newest one is this and has gone on
    /// ([`RunState::Continued`]); else answer with the run that is there.
    Succeed(ExecutionId),
}

impl OnExisting {
    /// Whether a start takes the place of this execution, the newest of its run and in this state.
    /// One that has gone on has its successor already, though that may not have been started yet.
    pub fn replaces(self, newest: ExecutionId, state: RunState) -> bool {
        match self {
            Self::Return | Self::Reject => false,
            Self::ReplaceFinished => state.is_final() && state != RunState::Continued,
            Self::Succeed(of) => state == RunState::Continued && newest == of,
        }
    }
}

/// A run to start.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// Its name.
    pub id: RunId,
    /// Its first journal.
    pub execution: ExecutionId,
    /// The workflow's durable name.
    pub workflow: String,
    /// The workflow's version.
    pub version: u32,
    /// The lane that claims are shared out by.
    pub lane: String,
    /// Higher goes first within a lane.
    pub priority: i16,
    /// When it may begin, if later than now.
    pub not_before: Option<Timestamp>,
    /// Search attributes: name and value.
    pub attributes: Vec<(String, String)>,
    /// What lists and clients show beside the run and nobody searches: a
    /// [`Payload`](crate::wire::Payload), encoded.
    pub memo: Option<Bytes>,
    /// A digest of the input, to flag a start whose input differs from the run that exists.
    pub input_digest: u64,
    /// The body of record 0.
    pub first: Bytes,
    /// The mark of record 0.
    pub nonce: Nonce,
    /// Payloads that record 0 refers to.
    pub blobs: Vec<Blob>,
    /// Messages that are in its inbox from the start.
    pub messages: Vec<(MessageId, Bytes)>,
    /// The worker that takes it in the same write, if it has a free slot.
    pub claim_for: Option<Incarnation>,
    /// What to do when a run of that id exists.
    pub on_existing: OnExisting,
}

/// What became of a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Started {
    /// The run is new and durable.
    New,
    /// A run of this id and workflow exists (or this very start was applied before).
    Existing {
        /// Its newest execution.
        execution: ExecutionId,
        /// Where it stands.
        state: RunState,
        /// Whether its input has the same digest.
        same_input: bool,
    },
    /// A run of this id exists and belongs to another workflow.
    Conflict {
        /// That workflow's name.
        workflow: String,
    },
    /// The store cannot take this row, and says why; the others are not affected.
    Rejected(String),
}

/// Which runs a worker can drive.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// (name, version) of the workflows that it has.
    pub workflows: Vec<(String, u32)>,
}

/// A request for runs that are due.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The worker.
    pub incarnation: Incarnation,
    /// What it runs.
    pub filter: Filter,
    /// What it was built from: runs marked "not this build" are left to others.
    pub build: BuildId,
    /// How many runs it has room for.
    pub slots: usize,
}

/// A run that now belongs to the worker that asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedRun {
    /// Its name.
    pub id: RunId,
    /// Its journal.
    pub execution: ExecutionId,
    /// The workflow's name.
    pub workflow: String,
    /// The workflow's version.
    pub version: u32,
    /// Whether the owner before did not release it: a claim record must be appended first.
    pub taken_over: bool,
    /// How many takeovers in a row ended with the worker's death.
    pub deaths: u32,
}

/// A run with its journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedRun {
    /// What is known without the journal.
    pub view: RunView,
    /// The journal, in order, without gaps.
    pub journal: Vec<JournalRow>,
    /// Messages that no commit has consumed, in order.
    pub inbox: Vec<InboxMessage>,
}

/// A run as lists and clients see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunView {
    /// Its name.
    pub id: RunId,
    /// Its newest journal.
    pub execution: ExecutionId,
    /// The workflow's name.
    pub workflow: String,
    /// The workflow's version.
    pub version: u32,
    /// The lane that claims are shared out by.
    pub lane: String,
    /// Higher goes first within a lane.
    pub priority: i16,
    /// Where it stands.
    pub state: RunState,
    /// When it was started.
    pub created_at: Timestamp,
    /// When its state last changed.
    pub updated_at: Timestamp,
    /// Search attributes.
    pub attributes: Vec<(String, String)>,
    /// What was noted at the start, not to be searched by: a [`Payload`](crate::wire::Payload), encoded.
    pub memo: Option<Bytes>,
    /// What the workflow last set as its status: a [`Payload`](crate::wire::Payload), encoded.
    pub status: Option<Bytes>,
    /// How it ended: a [`Conclusion`], encoded.
    pub conclusion: Option<Bytes>,
}

/// Which runs to list. Newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// Only this workflow.
    pub workflow: Option<String>,
    /// Only these states; empty means all.
    pub states: Vec<RunState>,
    /// Only ids that begin so.
    pub id_prefix: Option<String>,
    /// Only runs started at or after.
    pub started_from: Option<Timestamp>,
    /// Only runs started before.
    pub started_before: Option<Timestamp>,
    /// Only runs with these search attributes.
    pub attributes: Vec<(String, String)>,
    /// At most so many; a store may give fewer, never more.
    pub limit: usize,
    /// Go on after this execution: [`Page::next`] of the page before.
    pub after: Option<ExecutionId>,
}

/// Some runs, and where to go on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The runs.
    pub runs: Vec<RunView>,
    /// Put this into [`Query::after`] for more; none when these were the last.
    pub next: Option<ExecutionId>,
}
