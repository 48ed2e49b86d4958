//! The same steps on PostgreSQL, under the same names.

use saga_postgres::{PostgresTx, tokio_postgres};
use saga_runtime::prelude::*;

use super::BankError;
use crate::bank::Leg;
use crate::bank::postgres::{enter, is_closed};

impl From<tokio_postgres::Error> for BankError {
    fn from(error: tokio_postgres::Error) -> Self {
        // The error itself says only that there is one.
        let said = error.as_db_error().map(|said| format!("{} ({})", said.message(), said.code().code()));
        Self::Database(said.unwrap_or_else(|| error.to_string()))
    }
}

/// Takes money from an account.
#[activity(transaction, compensate = undo_debit(account, cents))]
pub(crate) async fn debit(
    #[transaction] tx: &mut PostgresTx<'_>,
    #[context] cx: &ActivityContext,
    account: u32,
    cents: i64,
) -> Result<(), BankError> {
    if enter(tx, cx.run_id().as_str(), Leg::Debit, account, -cents).await? {
        Ok(())
    } else {
        Err(BankError::InsufficientFunds(account))
    }
}

/// Gives it back.
#[activity(transaction)]
pub(crate) async fn undo_debit(
    #[transaction] tx: &mut PostgresTx<'_>,
    #[context] cx: &ActivityContext,
    account: u32,
    cents: i64,
) -> Result<(), BankError> {
    enter(tx, cx.run_id().as_str(), Leg::DebitUndone, account, cents).await?;
    Ok(())
}

/// Puts money into an account that takes some.
#[activity(transaction)]
pub(crate) async fn credit(
    #[transaction] tx: &mut PostgresTx<'_>,
    #[context] cx: &ActivityContext,
    account: u32,
    cents: i64,
) -> Result<(), BankError> {
    if is_closed(tx, account).await? {
        return Err(BankError::Closed(account));
    }
    enter(tx, cx.run_id().as_str(), Leg::Credit, account, cents).await?;
    Ok(())
}
