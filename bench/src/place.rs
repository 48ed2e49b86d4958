//! The store that is measured: one that is named, or a throwaway one.

use std::path::PathBuf;

use anyhow::bail;
use saga_postgres::PostgresStore;
use saga_runtime::{Client, Engine, EngineBuilder};
use saga_sqlite::SqliteStore;
use saga_test_server::TestServer;
use tempfile::TempDir;
use tokio_postgres::NoTls;

/// What an operator would set on a machine with some memory. Everything is flushed.
const SETTINGS: &str = "shared_buffers = 1GB\nmax_wal_size = 4GB\nfull_page_writes = on";

/// Where the store is. What was made for the measurement goes with this value.
#[derive(Debug)]
pub enum Place {
    /// A file.
    Sqlite {
        /// Its path.
        path: PathBuf,
        /// The folder that goes with it, if it is a throwaway one.
        folder: Option<TempDir>,
    },
    /// A schema in a database.
    Postgres {
        /// The server's address.
        url: String,
        /// The schema.
        schema: String,
        /// The server, if it is a throwaway one.
        server: Option<TestServer>,
    },
}

/// An open store.
#[derive(Debug, Clone)]
pub enum Opened {
    /// The embedded one.
    Sqlite(SqliteStore),
    /// The one on a server.
    Postgres(PostgresStore),
}

/// Does the same with either kind of store.
#[macro_export]
macro_rules! with_store {
    ($opened:expr, |$store:ident| $body:expr) => {
        match $opened {
            $crate::place::Opened::Sqlite($store) => $body,
            $crate::place::Opened::Postgres($store) => $body,
        }
    };
}

impl Place {
    /// `sqlite` or `postgres` for a throwaway store; `sqlite://PATH`, `postgres://USER@HOST/DATABASE`
    /// for one in that place. On a server that is named, a schema of its own is used, and dropped
    /// by [`Place::clear`].
    pub async fn parse(store: &str, schema: Option<&str>) -> anyhow::Result<Self> {
        let schema = schema.map_or_else(|| format!("saga_bench_{}", std::process::id()), ToOwned::to_owned);
        match store.split_once("://") {
            None if store == "sqlite" => {
                // Not in the system's folder for such files: that may be memory, which is no disk.
                let folder = tempfile::Builder::new().prefix("saga-bench-").tempdir_in(".")?;
                Ok(Self::Sqlite { path: folder.path().join("bench.db"), folder: Some(folder) })
            }
            None if store == "postgres" => {
                let server = TestServer::start_private(SETTINGS);
                let url = server.url();
                let place = Self::Postgres { url, schema, server: Some(server) };
                place.count_statements().await?;
                Ok(place)
            }
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite { path: path.into(), folder: None }),
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres { url: store.to_owned(), schema, server: None }),
            _ => bail!("a store is sqlite, postgres, sqlite://PATH or postgres://USER@HOST/DATABASE"),
        }
    }

    /// Loads the library that counts statements, where it is installed.
    async fn count_statements(&self) -> anyhow::Result<()> {
        let Self::Postgres { server: Some(server), .. } = self else { return Ok(()) };
        let Some(session) = self.session().await? else { return Ok(()) };
        let known = "SELECT FROM pg_available_extensions WHERE name = 'pg_stat_statements'";
        if session.execute(known, &[]).await? > 0 {
            server.configure("shared_preload_libraries = 'pg_stat_statements'");
            server.control(&["-w", "-m", "fast", "restart"]);
        }
        Ok(())
    }

    /// What it is called in a title.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Sqlite { .. } => "SQLite",
            Self::Postgres { .. } => "PostgreSQL",
        }
    }

    /// The options by which another process of this program finds the same place.
    pub fn arguments(&self) -> Vec<String> {
        match self {
            Self::Sqlite { path, .. } => vec!["--store".to_owned(), format!("sqlite://{}", path.display())],
            Self::Postgres { url, schema, .. } => ["--store", url, "--schema", schema].map(ToOwned::to_owned).into(),
        }
    }

    /// Opens the store there.
    pub async fn open(&self) -> anyhow::Result<Opened> {
        Ok(match self {
            Self::Sqlite { path, .. } => Opened::Sqlite(SqliteStore::open(path).await?),
            Self::Postgres { .. } => Opened::Postgres(self.server(8).await?),
        })
    }

    /// Opens the store on a server, with so many sessions for transactions.
    pub async fn server(&self, transactions: usize) -> anyhow::Result<PostgresStore> {
        let Self::Postgres { url, schema, .. } = self else { bail!("a file has no sessions") };
        Ok(PostgresStore::builder(url).schema(schema).transaction_sessions(transactions).connect().await?)
    }

    /// A session of its own with the server, if there is one.
    pub async fn session(&self) -> anyhow::Result<Option<tokio_postgres::Client>> {
        let Self::Postgres { url, .. } = self else { return Ok(None) };
        let (client, connection) = PostgresStore::config(url)?.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(Some(client))
    }

    /// Removes the schema from a server that stays.
    pub async fn clear(&self) -> anyhow::Result<()> {
        if let (Self::Postgres { schema, server: None, .. }, Some(session)) = (self, self.session().await?) {
            session.batch_execute(&format!("DROP SCHEMA IF EXISTS \"{schema}\" CASCADE")).await?;
        }
        Ok(())
    }
}

impl Opened {
    /// An engine over it, to be set up.
    pub fn engine(&self) -> EngineBuilder {
        with_store!(self, |store| Engine::builder(store.clone()))
    }

    /// A client that runs no worker.
    pub fn client(&self) -> Client {
        with_store!(self, |store| Client::new(store.clone()))
    }
}
