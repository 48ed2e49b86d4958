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

#[cfg(test)]
mod tests {
    use saga_sqlite::SqliteStore;

    use super::*;

    /// Ten accounts with 1,000.00 each; the last one is closed.
    async fn engine(folder: &tempfile::TempDir) -> (Engine, SqliteStore) {
        let store = SqliteStore::open(folder.path().join("bank.db")).await.unwrap();
        store.db().setup(|tx| bank::create(tx, 10)).await.unwrap();
        (Engine::builder(store.clone()).start().await.unwrap(), store)
    }

    async fn cents(store: &SqliteStore, account: u32) -> i64 {
        let sql = "SELECT cents FROM bank_accounts WHERE id = ?1";
        store.db().read(move |conn| conn.query_row(sql, [account], |row| row.get(0))).await.unwrap()
    }

    async fn run(engine: &Engine, id: &str, from: u32, to: u32, cents: i64) -> Outcome<(), TransferError> {
        engine.client().start(transfer_money(from, to, cents)).id(id).await.unwrap().outcome().await.unwrap()
    }

    #[tokio::test]
    async fn money_moves_from_one_account_to_another() {
        let folder = tempfile::tempdir().unwrap();
        let (engine, store) = engine(&folder).await;
        assert!(matches!(run(&engine, "T-1", 0, 1, 700).await, Outcome::Completed(())));
        assert_eq!((cents(&store, 0).await, cents(&store, 1).await), (99_300, 100_700));
    }

    #[tokio::test]
    async fn money_that_nobody_takes_is_put_back() {
        let folder = tempfile::tempdir().unwrap();
        let (engine, store) = engine(&folder).await;
        let Outcome::Failed(TransferError(error)) = run(&engine, "T-1", 0, 9, 700).await else {
            panic!("account 9 is closed")
        };
        assert_eq!(error, ActivityError::Failed(BankError::Closed(9)));
        assert_eq!(cents(&store, 0).await, 100_000);
    }

    #[tokio::test]
    async fn money_that_is_not_there_is_neither_taken_nor_put_back() {
        let folder = tempfile::tempdir().unwrap();
        let (engine, store) = engine(&folder).await;
        let Outcome::Failed(TransferError(error)) = run(&engine, "T-1", 0, 1, 100_001).await else {
            panic!("too much")
        };
        assert_eq!(error, ActivityError::Failed(BankError::InsufficientFunds(0)));
        assert_eq!((cents(&store, 0).await, cents(&store, 1).await), (100_000, 100_000));
    }
}
