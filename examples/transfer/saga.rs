//! The saga: a debit and a credit.

use saga_runtime::prelude::*;
use serde::{Deserialize, Serialize};

use crate::steps::{BankError, credit, debit};

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
    use crate::bank::sqlite;

    /// Ten accounts with 1,000.00 each; the last one is closed.
    async fn engine(folder: &tempfile::TempDir) -> (Engine, SqliteStore) {
        let store = SqliteStore::open(folder.path().join("bank.db")).await.unwrap();
        store.db().setup(|tx| sqlite::create(tx, 10)).await.unwrap();
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
