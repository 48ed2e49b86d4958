//! What a record says of a step whose attempts another run makes, on a worker of a queue.

use minicbor::{Decode, Encode};

use super::entry::Retry;
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
}
