//! The embedded store of the saga framework: one `SQLite` file.
//!
//! All writes of a process go through one thread, which puts what has gathered into one
//! transaction; answers leave when it is on the disk. So many runs share one fsync, and a run
//! alone waits for nobody. Reads go beside it and never wait.
//!
//! ```no_run
//! # async fn example() -> Result<(), saga_store::StoreError> {
//! let store = saga_sqlite::SqliteStore::open("orders.db").await?;
//! # let _ = store;
//! # Ok(())
//! # }
//! ```
//!
//! Modules in reading order:
//!
//! - `store`: [`SqliteStore`], each call as a job of the writer or a read; `core`: what they share.
//! - `options`, `url`: how a file is opened. `migrate`: whose file it is. `lock`: one engine a file.
//! - `db`: [`SqliteDb`], a file with its threads; `writer`: the group commit; `reader`; `session`:
//!   the writer's connection.
//! - `tx`: [`SqliteTx`], users' code in the group commit; `guard`: what it may do; `user`: its jobs.
//! - `write`: what the store writes, one verb a file; `read`: what it reads; `sql`: the statements.
//! - `hints`, `clock`, `error`.
//!
//! A backup ([`SqliteDb::backup`]) is the file as of one moment. A store that is opened from an
//! old copy goes on from that moment: steps whose completion came later run again, with the same
//! idempotency keys, and runs started later are unknown.

mod clock;
mod core;
mod db;
mod error;
mod guard;
mod hints;
mod lock;
mod migrate;
mod options;
mod read;
mod reader;
mod reconcile;
mod session;
mod sql;
mod store;
mod tx;
mod url;
mod user;
mod write;
mod writer;

pub use db::{SqliteDb, Stats};
pub use options::{SqliteBuilder, Synchronous};
pub use rusqlite;
pub use store::SqliteStore;
pub use tx::{SqliteTransactions, SqliteTx};

/// The file that an address names, which is not opened: for tests that feed it anything.
#[doc(hidden)]
pub fn path_of(url: &str) -> Result<std::path::PathBuf, saga_store::StoreError> {
    url::path_of(url)
}

/// What [`saga_store::Store::kind`] says of this store.
const KIND: &str = "sqlite";
