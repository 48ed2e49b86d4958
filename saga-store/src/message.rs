//! What crosses from a client or a run to another run.
//!
//! A message gets its id before it is first sent. It is delivered at least once, put into the
//! target's inbox once (a repeated id is recognised), and taken out by the commit that journals
//! it.

use bytes::Bytes;
use minicbor::{Decode, Encode};

use crate::ids::{ExecutionId, MessageId, RunId, Timestamp};
pub use crate::wire::{CancelRequest, ChildEnded, ChildStart, Completion, EventMessage, NextStart, Relay};

/// To whom a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The newest execution of the run of this name.
    Run(RunId),
    /// This execution and no other.
    Execution(ExecutionId),
}

/// A message before it is delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Made once, before the first send.
    pub id: MessageId,
    /// To whom.
    pub to: Target,
    /// A [`MessageBody`], encoded: stores carry it unread.
    pub body: Bytes,
}

/// A message in a run's inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxMessage {
    /// Its place in this execution's inbox, from 1, without gaps.
    pub position: u64,
    /// The id that its sender made.
    pub id: MessageId,
    /// When the store took it.
    pub at: Timestamp,
    /// A [`MessageBody`], encoded.
    pub body: Bytes,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It is in the inbox of this execution.
    New(ExecutionId),
    /// It was there already.
    Duplicate(ExecutionId),
    /// No such run, or no such execution.
    NoRun,
    /// The run has ended; nobody will read the message.
    Ended(ExecutionId),
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
#[non_exhaustive]
pub enum MessageBody {
    /// Stop at the current await, undo, end as cancelled.
    #[n(0)]
    Cancel(#[n(0)] CancelRequest),
    /// An event for `event::<E>()`.
    #[n(1)]
    Event(#[n(0)] EventMessage),
    /// Start no attempt until [`MessageBody::Resume`]; keep what comes meanwhile.
    #[n(5)]
    Suspend(#[n(0)] CancelRequest),
    /// Go on after a [`MessageBody::Suspend`].
    #[n(6)]
    Resume(#[n(0)] CancelRequest),
    /// Start this child. It is in outboxes only; what arrives is the child.
    #[n(2)]
    StartChild(#[n(0)] ChildStart),
    /// A child has ended, or could not be started.
    #[n(3)]
    ChildEnded(#[n(0)] ChildEnded),
    /// End without undo.
    #[n(4)]
    Terminate(#[n(0)] CancelRequest),
    /// Start the next execution of a run that goes on. It is in outboxes only; what arrives is the
    /// execution.
    #[n(20)]
    StartNext(#[n(0)] NextStart),
    /// What became of a step, from whoever has its token.
    #[n(40)]
    StepCompleted(#[n(0)] Completion),
    /// What a session is to send on.
    #[n(41)]
    Relay(#[n(0)] Relay),
}

impl MessageBody {
    /// As bytes for [`Message::body`].
    pub fn to_bytes(&self) -> Bytes {
        crate::wire::encode(self)
    }

    /// From the bytes of an inbox.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, crate::wire::DecodeError> {
        crate::wire::decode(bytes)
    }
}
