//! What a workflow sees of a step that failed for good.

use std::fmt;

use saga_store::wire::{Failure, FailureKind};
use serde::{Deserialize, Serialize};

use crate::codec::CodecError;

/// Why a step failed for good: the activity's own error, or what the engine says.
///
/// Serializable, so that a workflow's error can hold it (`#[from] ActivityError<PaymentError>`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ActivityError<E> {
    /// The activity returned this error, on its last attempt or as a permanent one.
    Failed(E),
    /// The last attempt took too long, or all of them together did.
    TimedOut(String),
    /// The last attempt panicked, with this message.
    Panicked(String),
    /// The circuit breaker let no attempt through.
    CircuitOpen(String),
    /// A recorded value cannot be read or written.
    Payload(String),
    /// No worker has the activity.
    Unregistered(String),
    /// A [layer](crate::layer) refused or failed the last attempt.
    Layer(String),
    /// The run that made the attempts on a worker of the activity's queue was ended by an operator,
    /// or needs one: whether there was an effect may be unknown.
    Interrupted(String),
    /// The [session](crate::session()) of the step is over: it was ended, or its worker has gone.
    /// Whether there was an effect may be unknown.
    SessionLost(String),
}

/// The sort of an [`ActivityError`], without its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The activity's own error.
    Failed,
    /// Too slow.
    TimedOut,
    /// A panic.
    Panicked,
    /// The circuit breaker.
    CircuitOpen,
    /// A value that cannot be read or written.
    Payload,
    /// No such activity.
    Unregistered,
    /// A layer around the attempt.
    Layer,
    /// The run on a worker of the queue ended without a result.
    Interrupted,
    /// The session of the step is over.
    SessionLost,
}

impl<E> ActivityError<E> {
    /// The activity's own error, if it returned one.
    pub fn as_failed(&self) -> Option<&E> {
        match self {
            Self::Failed(error) => Some(error),
            _ => None,
        }
    }

    /// Whether the step ran out of time.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::TimedOut(_))
    }

    /// Whether the session of the step is over: what the workflow needs of it can be begun anew in
    /// another one.
    pub fn is_session_lost(&self) -> bool {
        matches!(self, Self::SessionLost(_))
    }

    /// Which sort of failure it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Failed(_) => ErrorKind::Failed,
            Self::TimedOut(_) => ErrorKind::TimedOut,
            Self::Panicked(_) => ErrorKind::Panicked,
            Self::CircuitOpen(_) => ErrorKind::CircuitOpen,
            Self::Payload(_) => ErrorKind::Payload,
            Self::Unregistered(_) => ErrorKind::Unregistered,
            Self::Layer(_) => ErrorKind::Layer,
            Self::Interrupted(_) => ErrorKind::Interrupted,
            Self::SessionLost(_) => ErrorKind::SessionLost,
        }
    }
}

impl<E: serde::de::DeserializeOwned> ActivityError<E> {
    /// What the journal says of a failure, typed; an error if the recorded one cannot be read.
    pub(crate) fn from_failure(failure: Failure) -> Result<Self, CodecError> {
        let Failure { kind, message, error } = failure;
        Ok(match (kind, error) {
            (FailureKind::Returned, Some(payload)) => Self::Failed(crate::codec::decode(&payload)?),
            (FailureKind::TimedOut | FailureKind::DeadlinePassed, _) => Self::TimedOut(message),
            (FailureKind::Panicked, _) => Self::Panicked(message),
            (FailureKind::CircuitOpen, _) => Self::CircuitOpen(message),
            (FailureKind::Unregistered, _) => Self::Unregistered(message),
            (FailureKind::Layer, _) => Self::Layer(message),
            (FailureKind::Interrupted, _) => Self::Interrupted(message),
            (FailureKind::SessionLost, _) => Self::SessionLost(message),
            _ => Self::Payload(message),
        })
    }
}

impl<E: fmt::Display> fmt::Display for ActivityError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.fmt(f),
            Self::TimedOut(message)
            | Self::CircuitOpen(message)
            | Self::Payload(message)
            | Self::Unregistered(message)
            | Self::Layer(message)
            | Self::Interrupted(message)
            | Self::SessionLost(message) => f.write_str(message),
            Self::Panicked(message) => write!(f, "panicked: {message}"),
        }
    }
}

impl<E: fmt::Display + fmt::Debug> std::error::Error for ActivityError<E> {}
