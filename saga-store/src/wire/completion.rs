//! How a step ends that is completed from outside, by its token.

use minicbor::{Decode, Encode};

use super::failure::Failure;
use super::op::OpId;
use super::payload::Payload;

/// What somebody who has a step's token says of it.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Completion {
    /// The step.
    #[n(0)]
    pub op: OpId,
    /// The activity's durable name: another one's output is not taken for its own.
    #[n(1)]
    pub activity: String,
    /// What became of it.
    #[n(2)]
    pub end: CompletionEnd,
    /// Which attempt it is said of, from 1; none in the words of older builds. A transient failure is one
    /// of that attempt only.
    #[n(3)]
    pub attempt: Option<u32>,
}

/// What became of a step that is completed from outside.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
#[non_exhaustive]
pub enum CompletionEnd {
    /// It returned this.
    #[n(0)]
    Returned(#[n(0)] Payload),
    /// It failed.
    #[n(1)]
    Failed {
        /// Why.
        #[n(0)]
        failure: Failure,
        /// It is not to be attempted again.
        #[n(1)]
        permanent: bool,
        /// Surely nothing happened.
        #[n(2)]
        no_effect: bool,
        /// When to attempt it again, if the error says so: microseconds.
        #[n(3)]
        retry_after: Option<u64>,
    },
}
