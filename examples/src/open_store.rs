//! The store of either kind that an address leads to.

use saga_postgres::PostgresStore;
use saga_runtime::{Client, Engine, EngineBuilder};
use saga_sqlite::SqliteStore;
use saga_store::StoreError;

use crate::StoreUrl;

/// The store of the runs.
#[derive(Debug, Clone)]
pub enum OpenStore {
    /// In a file.
    Sqlite(SqliteStore),
    /// On a server.
    Postgres(PostgresStore),
}

impl OpenStore {
    /// The store at this address, made if it is not there.
    pub async fn open(url: &StoreUrl) -> Result<Self, StoreError> {
        Ok(match url {
            StoreUrl::Sqlite(path) => Self::Sqlite(SqliteStore::open(path).await?),
            StoreUrl::Postgres(url) => Self::Postgres(PostgresStore::connect(url.with_password()).await?),
        })
    }

    /// A client in a process that works on nothing.
    pub fn client(self) -> Client {
        match self {
            Self::Sqlite(store) => Client::new(store),
            Self::Postgres(store) => Client::new(store),
        }
    }

    /// An engine over it, to be set up and started.
    pub fn engine(self) -> EngineBuilder {
        match self {
            Self::Sqlite(store) => Engine::builder(store),
            Self::Postgres(store) => Engine::builder(store),
        }
    }
}
