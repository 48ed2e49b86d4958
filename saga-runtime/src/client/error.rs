//! What can go wrong in a client's call.

use std::fmt;
use std::time::Duration;

use saga_store::{ErrorKind, RunId, RunIdError, StoreError};

use crate::codec::CodecError;

/// Why a client's call failed. Nothing was done unless the store's error says that it is unknown.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// The store failed.
    Store(StoreError),
    /// The text cannot name a run.
    Id(RunIdError),
    /// A value cannot be recorded, or a recorded one not be read.
    Payload(CodecError),
    /// No run has this id.
    NoRun {
        /// The id.
        id: RunId,
    },
    /// The run has ended: nobody will read what was sent.
    HasEnded {
        /// The run.
        id: RunId,
    },
    /// The run is past its point of no return: it goes on, and is not cancelled any more.
    PastPivot {
        /// The run.
        id: RunId,
    },
    /// The text is no value of the event.
    Event {
        /// The event's name.
        name: String,
        /// Why.
        why: String,
    },
    /// The run's workflow never awaits the event: nobody would read it.
    NotAwaited {
        /// The run.
        id: RunId,
        /// The event's name.
        event: &'static str,
        /// The workflow's name.
        workflow: &'static str,
    },
    /// The text names no step that can be completed: says why.
    Token {
        /// The text.
        token: String,
        /// Why.
        why: String,
    },
    /// A run of this id exists, and the start was to make a new one.
    Exists {
        /// The run.
        id: RunId,
    },
    /// The run has not ended, and must have for this.
    IsLive {
        /// The run.
        id: RunId,
    },
    /// The run does not need this, or it cannot be done to it: says why.
    NotPossible {
        /// The run.
        id: RunId,
        /// Why.
        why: String,
    },
    /// The run went on each time that an operator's record was to be appended. Nothing was done.
    Busy {
        /// The run.
        id: RunId,
    },
    /// The run goes on in a new execution, and no worker has started that yet. Nothing was done.
    GoesOn {
        /// The run.
        id: RunId,
    },
    /// Too many starts of this process wait for the store already. Nothing was done.
    Overloaded {
        /// How many wait.
        waiting: usize,
        /// When to try again: about as long as those that wait take.
        retry_after: Duration,
    },
    /// The id belongs to a run of another workflow.
    OtherWorkflow {
        /// The id.
        id: RunId,
        /// Whose it is.
        workflow: String,
        /// Which workflow was meant.
        wanted: &'static str,
    },
    /// The store cannot take the run.
    Rejected {
        /// The run.
        id: RunId,
        /// Why.
        why: String,
    },
    /// A layer around the start refused it, or gave it up ([`Client::layer`](crate::Client::layer)).
    Layer {
        /// The workflow's name.
        workflow: &'static str,
        /// The run, also one without an id of the caller's.
        id: RunId,
        /// Whether the start was made all the same; `None` if that is unknown, since the layer did not
        /// wait for the answer. The same id again gives the run that is there.
        started: Option<bool>,
        /// The layer's error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The journal or the conclusion of a run cannot be read by this build.
    Unreadable {
        /// The run.
        id: RunId,
        /// Why.
        why: String,
    },
}

impl ClientError {
    /// Whether no run has the id.
    pub fn is_no_run(&self) -> bool {
        matches!(self, Self::NoRun { .. })
    }

    /// Whether the run's workflow never awaits the event that was to be sent.
    pub fn is_not_awaited(&self) -> bool {
        matches!(self, Self::NotAwaited { .. })
    }

    /// Whether the run is past its point of no return, so that it is not cancelled any more.
    pub fn is_past_pivot(&self) -> bool {
        matches!(self, Self::PastPivot { .. })
    }

    /// Whether a layer around the start refused it, or gave it up.
    pub fn is_layer(&self) -> bool {
        matches!(self, Self::Layer { .. })
    }

    /// How long to wait before the same call is made again, if the store has more work than it
    /// takes.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Overloaded { retry_after, .. } => Some(*retry_after),
            Self::Store(error) if error.kind() == ErrorKind::Overloaded => Some(Duration::from_secs(1)),
            _ => None,
        }
    }

    /// Whether the same call may succeed later. A start that a layer refused may not; one whose
    /// outcome is unknown, since a layer gave it up, may.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_retryable(),
            Self::Layer { started, .. } => started.is_none(),
            Self::Busy { .. } | Self::GoesOn { .. } | Self::Overloaded { .. } => true,
            _ => false,
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Id(error) => error.fmt(f),
            Self::Payload(error) => error.fmt(f),
            Self::NoRun { id } => write!(f, "no run has the id {id}"),
            Self::HasEnded { id } => write!(f, "run {id} has ended"),
            Self::PastPivot { id } => {
                write!(f, "run {id} is past the pivot: it goes on to its end and is not cancelled any more")
            }
            Self::Event { name, why } => write!(f, "not a value of event `{name}`: {why}"),
            Self::NotAwaited { id, event, workflow } => write!(
                f,
                "event `{event}` was not sent to run {id}: its workflow `{workflow}` never awaits it, as the plan shows; \
                 await it there, or send by `client.send(…)`, which sends anything"
            ),
            Self::Token { token, why } => write!(f, "{token:?} names no step that can be completed: {why}"),
            Self::Exists { id } => write!(f, "run {id} exists"),
            Self::IsLive { id } => write!(f, "run {id} has not ended"),
            Self::NotPossible { id, why } => write!(f, "{why} (run {id})"),
            Self::Busy { id } => {
                write!(f, "run {id} goes on too fast to be reached now; try again, or suspend it first")
            }
            Self::GoesOn { id } => {
                write!(f, "run {id} goes on in a new execution, which no worker has started yet; try again")
            }
            Self::Overloaded { waiting, retry_after } => {
                write!(f, "{waiting} starts wait for the store already; try again after {retry_after:?}")
            }
            Self::OtherWorkflow { id, workflow, wanted } => {
                write!(f, "run {id} is one of workflow `{workflow}`, not of `{wanted}`; choose another id")
            }
            Self::Rejected { id, why } => write!(f, "the store cannot take run {id}: {why}"),
            Self::Layer { workflow, id, started, source } => match started {
                Some(false) => write!(
                    f,
                    "a layer refused to start run {id} of workflow `{workflow}`: {source}; nothing was started"
                ),
                Some(true) => write!(
                    f,
                    "a layer failed the start of run {id} of workflow `{workflow}`: {source}; the run was started all the same"
                ),
                None => write!(
                    f,
                    "a layer gave up the start of run {id} of workflow `{workflow}`: {source}; whether the run was started \
                     is unknown, and the same id again gives it if so"
                ),
            },
            Self::Unreadable { id, why } => write!(f, "run {id} cannot be read by this build: {why}"),
        }
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(error) => std::error::Error::source(error),
            Self::Layer { source, .. } => Some(&**source),
            _ => None,
        }
    }
}

impl From<StoreError> for ClientError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<RunIdError> for ClientError {
    fn from(error: RunIdError) -> Self {
        Self::Id(error)
    }
}

impl From<CodecError> for ClientError {
    fn from(error: CodecError) -> Self {
        Self::Payload(error)
    }
}
