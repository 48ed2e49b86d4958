//! The `PostgreSQL` store of the saga framework: many workers, one database.
//!
//! A group commit is one statement, fenced by the rows that it moves on, so that a client that
//! stops in the middle holds nothing. Runs that are due are handed out with `SKIP LOCKED`; hints
//! travel by `NOTIFY` on a session of their own, outside of commits.
//!
//! ```no_run
//! # async fn example() -> Result<(), saga_store::StoreError> {
//! let store = saga_postgres::PostgresStore::connect("postgres://app@db.example/shop").await?;
//! # let _ = store;
//! # Ok(())
//! # }
//! ```
//!
//! Modules in reading order:
//!
//! - `store`: [`PostgresStore`], each call of the contract.
//! - `options`: how it is opened. `address`: URLs and `PG*` variables; `tls`. `migrate`: its schema.
//! - `verbs`: what the calls do, one idea a file. `sql`: their statements.
//! - `ledger`: numbers of claims, so that none is lost with its answer.
//! - `tx`: users' own code in transactions, and starts within them.
//! - `rights`: which are missing. `db`: the sessions. `hints`: who is told, in this process and others. `error`.

mod address;
mod db;
mod error;
mod heads;
mod hints;
mod ledger;
mod migrate;
mod options;
mod rights;
mod sql;
mod steps;
mod store;
mod tls;
mod tx;
mod verbs;

pub use migrate::{migration_sql, migration_sql_from};
pub use options::{Migrate, PostgresBuilder, statements};
pub use store::PostgresStore;
pub use tokio_postgres;
pub use tx::{PostgresTransactions, PostgresTx};

/// The database that an address names, as people are told of it; it is not connected to: for tests
/// that feed it anything. `variable` stands for the environment.
#[doc(hidden)]
pub fn place_of(url: &str, variable: impl Fn(&str) -> Option<String>) -> Result<String, saga_store::StoreError> {
    address::Address::parse(url, variable).map(|address| address.place)
}

/// What [`saga_store::Store::kind`] says of this store.
const KIND: &str = "postgres";
