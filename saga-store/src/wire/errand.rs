//! What a record says of a step whose attempts another run makes, on a worker of a queue, and of a
//! session, which keeps such runs on one worker.

use minicbor::{Decode, Encode};

use super::child::ChildStart;
use super::entry::Retry;
use super::note::CancelRequest;
use super::op::OpId;
use crate::ids::ExecutionId;

/// The run that makes a step's attempts, on any worker that serves the queue.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Errand {
    /// The queue.
    #[n(0)]
    pub queue: String,
    /// The journal of the run that makes the attempts.
    #[cbor(n(1), with = "super::execution")]
    pub execution: ExecutionId,
    /// The policy of the attempts.
    #[n(2)]
    pub retry: Retry,
    /// How long an attempt may take: microseconds.
    #[n(3)]
    pub timeout: u64,
    /// Whether nobody said how long it may take.
    #[n(4)]
    pub default_timeout: bool,
    /// Which of those that wait goes first, the higher one; 0 if nobody said.
    #[n(5)]
    pub priority: Option<i16>,
    /// The session that the step is part of.
    #[n(6)]
    pub session: Option<InSession>,
}

/// Which session a step is part of.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct InSession {
    /// The session's place in the code that began it.
    #[n(0)]
    pub op: OpId,
    /// The journal of the session's run.
    #[cbor(n(1), with = "super::execution")]
    pub execution: ExecutionId,
}

/// What a session is to send on. What it starts stays with its worker.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
#[non_exhaustive]
pub enum Relay {
    /// The run that makes a step's attempts.
    #[n(0)]
    Start(#[n(0)] Box<ChildStart>),
    /// That such a run is not needed any more.
    #[n(1)]
    Cancel {
        /// The step.
        #[n(0)]
        op: OpId,
        /// The run that makes its attempts.
        #[cbor(n(1), with = "super::execution")]
        execution: ExecutionId,
        /// Why.
        #[n(2)]
        request: CancelRequest,
    },
}

/// A session has sent something on.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Relayed {
    /// The step, in the run that has begun the session.
    #[n(0)]
    pub op: OpId,
    /// The run that makes its attempts.
    #[cbor(n(1), with = "super::execution")]
    pub execution: ExecutionId,
    /// Whether that run is not needed any more; else it was started.
    #[n(2)]
    pub cancel: bool,
}
