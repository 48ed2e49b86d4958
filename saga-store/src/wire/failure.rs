//! Why something failed.

use minicbor::{Decode, Encode};

use super::payload::Payload;

/// Why an attempt, a step or an undo failed.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Failure {
    /// The sort of failure.
    #[n(0)]
    pub kind: FailureKind,
    /// In words.
    #[n(1)]
    pub message: String,
    /// The activity's own error, where it returned one.
    #[n(2)]
    pub error: Option<Payload>,
}

/// The sort of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
#[non_exhaustive]
pub enum FailureKind {
    /// The activity returned an error.
    #[n(0)]
    Returned,
    /// An attempt took too long.
    #[n(1)]
    TimedOut,
    /// The activity panicked.
    #[n(2)]
    Panicked,
    /// The circuit breaker let no attempt through.
    #[n(3)]
    CircuitOpen,
    /// The input could not be read by the activity, or the output not be written.
    #[n(4)]
    Payload,
    /// All attempts together took too long.
    #[n(5)]
    DeadlinePassed,
    /// No activity of this name is in the worker.
    #[n(6)]
    Unregistered,
    /// A layer around the attempt refused or failed it.
    #[n(7)]
    Layer,
    /// The run that made the attempts on a worker of a queue ended without a result.
    #[n(8)]
    Interrupted,
    /// The session of the step is over: its worker is gone, or it was ended.
    #[n(9)]
    SessionLost,
}
