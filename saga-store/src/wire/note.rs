//! What messages and records both say.

use minicbor::{Decode, Encode};

use super::op::OpId;
use super::payload::Payload;

/// Who asked for a cancel and why.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(array)]
pub struct CancelRequest {
    /// What the caller gave as a reason.
    #[n(0)]
    pub reason: Option<String>,
}

/// An event on its way.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
#[cbor(array)]
pub struct EventMessage {
    /// The event type's durable name.
    #[n(0)]
    pub name: String,
    /// Its value.
    #[n(1)]
    pub value: Payload,
}

/// An event that a workflow sends.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct EventSent {
    /// The place in the code that says so.
    #[n(0)]
    pub op: OpId,
    /// To whom.
    #[n(1)]
    pub to: Recipient,
    /// The event.
    #[n(2)]
    pub event: EventMessage,
}

/// To whom a workflow sends an event.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[non_exhaustive]
pub enum Recipient {
    /// The newest execution of the run of this name.
    #[n(0)]
    Run(#[n(0)] String),
    /// The child run that was started at this place in the code.
    #[n(1)]
    Child(#[n(0)] OpId),
}
