//! How a run ended.

use minicbor::{Decode, Encode};

use super::note::CancelRequest;
use super::payload::Payload;
use crate::ids::ExecutionId;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
#[non_exhaustive]
pub enum Conclusion {
    /// With a value.
    #[n(0)]
    Completed(#[n(0)] Payload),
    /// With an error; every undo has run.
    #[n(1)]
    Failed {
        /// The error.
        #[n(0)]
        error: Payload,
        /// In words.
        #[n(1)]
        message: String,
    },
    /// By a cancel; every undo has run.
    #[n(2)]
    Cancelled(#[n(0)] CancelRequest),
    /// By an operator, without undo.
    #[n(3)]
    Terminated(#[n(0)] CancelRequest),
    /// It needs an operator.
    #[n(4)]
    Dead {
        /// What went wrong and where.
        #[n(0)]
        reason: String,
    },
    /// It goes on under the same id, with a fresh journal.
    #[n(5)]
    Continued {
        /// The journal in which it goes on.
        #[cbor(n(0), with = "super::execution")]
        next: ExecutionId,
    },
}

impl Conclusion {
    /// Visits each payload of the conclusion.
    pub fn for_each_payload(&mut self, mut visit: impl FnMut(&mut Payload)) {
        match self {
            Self::Completed(payload) | Self::Failed { error: payload, .. } => visit(payload),
            Self::Cancelled(_) | Self::Terminated(_) | Self::Dead { .. } | Self::Continued { .. } => {}
        }
    }
}
