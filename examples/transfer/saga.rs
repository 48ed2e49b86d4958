//! The saga: a debit and a credit, each written within the transaction of its journal entry.

use saga_runtime::prelude::*;
use saga_sqlite::{SqliteTx, rusqlite};
use serde::{Deserialize, Serialize};

use crate::bank::{self, Leg};

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

impl From<rusqlite::Error> for BankError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.to_string())
    }
}

/// Takes money from an account.
#[activity(transaction, compensate = undo_debit(account, cents))]
pub(crate) fn debit(
    #[transaction] tx: &SqliteTx<'_>,
    #[context] cx: &ActivityContext,
    account: u32,
    cents: i64,
) -> Result<(), BankError> {
    if bank::enter(tx, cx.run_id().as_str(), Leg::Debit, account, -cents)? {
        Ok(())
    } else {
        Err(BankError::InsufficientFunds(account))
    }
}

/// Gives it back.
#[activity(transaction)]
pub(crate) fn undo_debit(
    #[transaction] tx: &SqliteTx<'_>,
    #[context] cx: &ActivityContext,
    account: u32,
    cents: i64,
) -> Result<(), BankError> {
    bank::enter(tx, cx.run_id().as_str(), Leg::DebitUndone, account, cents)?;
    Ok(())
}

/// Puts money into an account that takes some.
#[activity(transaction)]
pub(crate) fn credit(
    #[transaction] tx: &SqliteTx<'_>,
    #[context] cx: &ActivityContext,
    account: u32,
    cents: i64,
) -> Result<(), BankError> {
    if bank::is_closed(tx, account)? {
        return Err(BankError::Closed(account));
    }
    bank::enter(tx, cx.run_id().as_str(), Leg::Credit, account, cents)?;
    Ok(())
}

/// Why a transfer failed.
#[derive(Debug, Clone, thiserror::Error, Serialize, Deserialize)]
#[error(transparent)]
pub(crate) struct TransferError(#[from] ActivityError<BankError>);

/// Moves money. If it cannot be put where it shall go, it is put back.
#[workflow]
pub(crate) async fn transfer_money(from: u32, to: u32, cents: i64) -> Result<(), TransferError> {
    debit(from, cents).await?;
    credit(to, cents).await?;
    Ok(())
}
