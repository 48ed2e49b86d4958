//! What a run and its children say of each other, in records and in messages.

use minicbor::{Decode, Encode};

use super::chain::StartTerms;
use super::conclusion::Conclusion;
use super::entry::{UndoPlan, UndoStep};
use super::op::OpId;
use super::payload::Payload;
use crate::ids::ExecutionId;

/// A child run that the workflow starts.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct ChildScheduled {
    /// Its place in the parent's code.
    #[n(0)]
    pub op: OpId,
    /// The child workflow's durable name.
    #[n(1)]
    pub workflow: String,
    /// Its version.
    #[n(2)]
    pub version: u32,
    /// The child run's name.
    #[n(3)]
    pub id: String,
    /// The child's journal.
    #[cbor(n(4), with = "super::execution")]
    pub execution: ExecutionId,
    /// The input, one object keyed by parameter name.
    #[n(5)]
    pub input: Payload,
    /// How to undo it once it has completed.
    #[n(6)]
    pub undo: UndoPlan,
    /// What becomes of it when the parent ends; without it, it is cancelled as long as the parent
    /// holds on to it.
    #[n(7)]
    pub at_end: Option<ParentEnd>,
    /// The lane in which it waits for a worker.
    #[n(8)]
    pub lane: String,
    /// Its priority within the lane.
    #[n(9)]
    pub priority: i16,
    /// What else the call says.
    #[n(10)]
    pub terms: Option<StartTerms>,
}

/// What becomes of a child when its parent ends, or lets go the branch that started it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
#[non_exhaustive]
pub enum ParentEnd {
    /// It is cancelled and undone, and the parent is final only after that.
    #[n(0)]
    Cancel,
    /// It goes on by itself.
    #[n(1)]
    Abandon,
    /// It is ended without undo.
    #[n(2)]
    Terminate,
}

/// A child has ended. In a message it is news; in the parent's record, what arrived.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct ChildEnded {
    /// Its place in the parent's code.
    #[n(0)]
    pub op: OpId,
    /// How it ended.
    #[n(1)]
    pub end: ChildEnd,
    /// In a record: its undo, where the plan was [`UndoPlan::FromOutput`].
    #[n(2)]
    pub undo: Option<Box<UndoStep>>,
}

/// How a child ended, as its parent is told.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
#[non_exhaustive]
pub enum ChildEnd {
    /// With a value.
    #[n(0)]
    Completed(#[n(0)] Payload),
    /// With an error; every undo of it has run.
    #[n(1)]
    Failed {
        /// The error.
        #[n(0)]
        error: Payload,
        /// In words.
        #[n(1)]
        message: String,
    },
    /// By a cancel; every undo of it has run.
    #[n(2)]
    Cancelled,
    /// Without undo.
    #[n(3)]
    Terminated,
    /// It needs an operator.
    #[n(4)]
    Dead {
        /// What went wrong and where.
        #[n(0)]
        reason: String,
    },
    /// It was never started.
    #[n(5)]
    NotStarted {
        /// Why.
        #[n(0)]
        why: String,
    },
}

impl ChildEnd {
    /// What a parent is told of this conclusion; nothing if it is not the end of the child.
    pub fn of(conclusion: &Conclusion) -> Option<Self> {
        Some(match conclusion.clone() {
            Conclusion::Completed(output) => Self::Completed(output),
            Conclusion::Failed { error, message } => Self::Failed { error, message },
            Conclusion::Cancelled(_) => Self::Cancelled,
            Conclusion::Terminated(_) => Self::Terminated,
            Conclusion::Dead { reason } => Self::Dead { reason },
            Conclusion::Continued { .. } => return None,
        })
    }

    /// Visits each payload.
    pub fn for_each_payload(&mut self, mut visit: impl FnMut(&mut Payload)) {
        match self {
            Self::Completed(payload) | Self::Failed { error: payload, .. } => visit(payload),
            Self::Cancelled | Self::Terminated | Self::Dead { .. } | Self::NotStarted { .. } => {}
        }
    }
}

/// Whose child a run is.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Parent {
    /// The parent's journal.
    #[cbor(n(0), with = "super::execution")]
    pub execution: ExecutionId,
    /// The child's place in the parent's code.
    #[n(1)]
    pub op: OpId,
    /// The parent's name.
    #[n(2)]
    pub id: String,
}

/// The order to start a child. It is in outboxes only: its delivery is the start.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct ChildStart {
    /// The child, as its parent's record has it.
    #[n(0)]
    pub child: ChildScheduled,
    /// Its parent.
    #[n(1)]
    pub parent: Parent,
    /// What the child's random values derive from.
    #[n(2)]
    pub seed: u64,
    /// Whether it takes the place of a run of its id that has ended: its parent is the fork of one
    /// that had such a child before.
    #[n(3)]
    pub replaces: Option<bool>,
}
