//! The steps, each written within the transaction of its journal entry. There is one definition
//! of each for each kind of store: the engine runs the one of its own, whichever is called.

mod postgres;
mod sqlite;

use saga_runtime::prelude::*;
use serde::{Deserialize, Serialize};

pub(crate) use sqlite::{credit, debit};

/// Why money is not moved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize, Classify)]
pub(crate) enum BankError {
    /// There is not enough of it.
    #[error("account {0} has not enough money")]
    #[permanent]
    InsufficientFunds(u32),
    /// The account takes none.
    #[error("account {0} is closed")]
    #[permanent]
    Closed(u32),
    /// A statement failed; the transaction was rolled back.
    #[error("the bank's tables: {0}")]
    #[transient(no_effect)]
    Database(String),
}
