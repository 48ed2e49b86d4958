//! Why the shop refuses, and which refusals are final.

use saga_runtime::prelude::*;
use serde::{Deserialize, Serialize};

/// The shop cannot be reached now; what it was asked may have happened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Outage(String);

impl Outage {
    /// With this reason.
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

/// Why the warehouse refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize, Classify)]
pub(crate) enum InventoryError {
    /// There is not enough of it.
    #[error("out of stock")]
    #[permanent]
    OutOfStock,
    /// The reservation was released before it came.
    #[error("this reservation was released before it was made")]
    #[permanent]
    Released,
    /// No answer.
    #[error("the warehouse does not answer: {0}")]
    #[transient]
    Unavailable(String),
}

impl From<Outage> for InventoryError {
    fn from(Outage(why): Outage) -> Self {
        Self::Unavailable(why)
    }
}

/// Why the payment provider refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize, Classify)]
pub(crate) enum PaymentError {
    /// The card is not good for it.
    #[error("card declined")]
    #[permanent]
    Declined,
    /// The order was refunded before the charge came.
    #[error("this order was refunded before it was charged")]
    #[permanent]
    Refunded,
    /// No answer.
    #[error("the payment provider does not answer: {0}")]
    #[transient]
    Unavailable(String),
}

impl From<Outage> for PaymentError {
    fn from(Outage(why): Outage) -> Self {
        Self::Unavailable(why)
    }
}

/// Why a mail is not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize, Classify)]
pub(crate) enum MailError {
    /// No answer.
    #[error("the mail service does not answer: {0}")]
    #[transient]
    Unavailable(String),
}

impl From<Outage> for MailError {
    fn from(Outage(why): Outage) -> Self {
        Self::Unavailable(why)
    }
}
