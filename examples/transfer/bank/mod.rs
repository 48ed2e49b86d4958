//! The bank's tables, in the store's own file or database.
//!
//! The ledger has no key that would keep a repeated step from writing a second entry: that it
//! never does is what the framework promises, and what the check looks for.

pub(crate) mod postgres;
pub(crate) mod sqlite;

use anyhow::Context;
use saga_examples::OpenStore;

/// What each account has in the beginning.
pub(crate) const INITIAL_CENTS: i64 = 100_000;

/// Every so many accounts one is closed and takes no money, so that some transfers are undone.
const CLOSED_EVERY: u32 = 10;

/// A part of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leg {
    /// Money leaves an account.
    Debit,
    /// Money arrives.
    Credit,
    /// The debit is taken back.
    DebitUndone,
}

impl Leg {
    /// The leg as the ledger has it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Debit => "debit",
            Self::Credit => "credit",
            Self::DebitUndone => "debit undone",
        }
    }
}

/// All that is in the tables.
#[derive(Debug, Default)]
pub(crate) struct Books {
    pub(crate) accounts: Vec<Account>,
    pub(crate) entries: Vec<Entries>,
}

/// An account, and what its entries in the ledger add up to.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) initial: i64,
    pub(crate) cents: i64,
    pub(crate) changed: i64,
}

/// The entries of one leg of one transfer.
#[derive(Debug)]
pub(crate) struct Entries {
    pub(crate) transfer: String,
    pub(crate) leg: String,
    pub(crate) cents: i64,
    pub(crate) count: i64,
}

/// Makes the tables and the accounts that are not there.
pub(crate) async fn create(store: &OpenStore, accounts: u32) -> anyhow::Result<()> {
    match store {
        OpenStore::Sqlite(store) => store.db().setup(move |tx| sqlite::create(tx, accounts)).await.map_err(Into::into),
        OpenStore::Postgres(store) => postgres::create(store, accounts).await,
    }
    .context("cannot make the accounts")
}

/// Reads the books.
pub(crate) async fn books(store: &OpenStore) -> anyhow::Result<Books> {
    match store {
        OpenStore::Sqlite(store) => store.db().read(sqlite::books).await.map_err(Into::into),
        OpenStore::Postgres(store) => postgres::books(store).await,
    }
    .context("cannot read the accounts")
}
