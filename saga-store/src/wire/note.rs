//! What messages and records both say.

use minicbor::{Decode, Encode};

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
