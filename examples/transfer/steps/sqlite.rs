//! The steps on a SQLite file.

use saga_runtime::prelude::*;
use saga_sqlite::{SqliteTx, rusqlite};

use super::BankError;
use crate::bank::Leg;
use crate::bank::sqlite::{enter, is_closed};

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
    if enter(tx, cx.run_id().as_str(), Leg::Debit, account, -cents)? {
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
    enter(tx, cx.run_id().as_str(), Leg::DebitUndone, account, cents)?;
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
    if is_closed(tx, account)? {
        return Err(BankError::Closed(account));
    }
    enter(tx, cx.run_id().as_str(), Leg::Credit, account, cents)?;
    Ok(())
}
