//! Where a store lives, so that a test can lose the process that had it open.

use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use saga_postgres::PostgresStore;
use saga_runtime::{Engine, EngineBuilder, MemoryStore};
use saga_sqlite::SqliteStore;
use saga_store::{ErrorKind, Store};
use saga_test_server::{fresh_name, shared};

use crate::world::World;

/// Where a store lives.
pub trait Place: Send + Sync {
    /// The kind of store.
    type Store: Store + Clone;

    /// The store as a new process finds it: whoever had it before is gone.
    fn open(&self) -> impl Future<Output = Self::Store> + Send;

    /// The store as a process beside others opens it.
    fn beside(&self) -> impl Future<Output = Self::Store> + Send;

    /// An empty place of the same kind.
    #[must_use]
    fn another(&self) -> Self;
}

/// A store in memory.
#[derive(Debug, Default)]
pub struct InMemory(MemoryStore);

impl Place for InMemory {
    type Store = MemoryStore;

    async fn open(&self) -> MemoryStore {
        self.0.crash();
        self.0.clone()
    }

    async fn beside(&self) -> MemoryStore {
        self.0.clone()
    }

    fn another(&self) -> Self {
        Self::default()
    }
}

/// A file in a folder that is removed at the end.
#[derive(Debug)]
pub struct InFile(tempfile::TempDir);

impl Default for InFile {
    fn default() -> Self {
        match tempfile::tempdir() {
            Ok(folder) => Self(folder),
            Err(error) => panic!("no folder for a test: {error}"),
        }
    }
}

impl InFile {
    /// The file.
    pub fn path(&self) -> PathBuf {
        self.0.path().join("store.db")
    }
}

impl Place for InFile {
    type Store = SqliteStore;

    async fn open(&self) -> SqliteStore {
        match SqliteStore::open(self.path()).await {
            Ok(store) => store,
            Err(error) => panic!("the store does not open: {error}"),
        }
    }

    async fn beside(&self) -> SqliteStore {
        self.open().await
    }

    fn another(&self) -> Self {
        Self::default()
    }
}

/// So many tests have a schema at once: each has a few sessions, and a server takes a hundred of
/// them unless it is told otherwise.
const SCHEMAS_AT_ONCE: usize = 12;

/// The sessions of a store for a test.
const SESSIONS: usize = 3;

/// A schema of the tests' server.
#[derive(Debug)]
pub struct InPostgres {
    schema: String,
    turn: Arc<Turn>,
}

impl Default for InPostgres {
    fn default() -> Self {
        Self { schema: fresh_name(), turn: Arc::new(Turn::wait()) }
    }
}

impl Place for InPostgres {
    type Store = PostgresStore;

    async fn open(&self) -> PostgresStore {
        let store = self.beside().await;
        let dead = format!("UPDATE {}.workers SET dead = true", self.schema);
        if let Err(error) = execute(&dead).await {
            panic!("the workers before cannot be taken for dead: {error}");
        }
        store
    }

    async fn beside(&self) -> PostgresStore {
        let builder = PostgresStore::builder(&shared().url()).schema(&self.schema).pool_size(SESSIONS);
        match builder.connect().await {
            Ok(store) => store,
            Err(error) => panic!("the store does not open: {error}"),
        }
    }

    fn another(&self) -> Self {
        Self { schema: fresh_name(), turn: Arc::clone(&self.turn) }
    }
}

/// Sends a statement in a session of its own.
async fn execute(sql: &str) -> Result<(), tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(&shared().url(), tokio_postgres::NoTls).await?;
    let session = tokio::spawn(connection);
    client.batch_execute(sql).await?;
    drop(client);
    // It ends with its client.
    drop(session.await);
    Ok(())
}

/// One of the schemas that there may be at once.
#[derive(Debug)]
struct Turn;

static TURNS: (Mutex<usize>, Condvar) = (Mutex::new(SCHEMAS_AT_ONCE), Condvar::new());

impl Turn {
    fn wait() -> Self {
        let free = TURNS.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = TURNS.1.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *TURNS.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        TURNS.1.notify_one();
    }
}

/// An engine over the place as a new process finds it.
///
/// # Panics
///
/// If the engine does not start: the test has failed.
pub async fn engine(place: &impl Place, world: &World) -> Engine {
    engine_with(place, world, |builder| builder).await
}

/// The same, set up further. An engine that was dropped a moment ago may still hold the file's
/// lock, until its tasks have noticed.
///
/// # Panics
///
/// If the engine does not start: the test has failed.
pub async fn engine_with(place: &impl Place, world: &World, set_up: impl Fn(EngineBuilder) -> EngineBuilder) -> Engine {
    loop {
        let builder = Engine::builder(place.open().await).state(world.clone());
        match set_up(builder).start().await {
            Ok(engine) => return engine,
            Err(error) if error.store_error().is_some_and(|error| error.kind() == ErrorKind::Locked) => {
                tokio::task::yield_now().await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Makes a test of each scenario on each store.
#[macro_export]
macro_rules! on_each_store {
    ($($(#[$attribute:meta])* $scenario:ident),+ $(,)?) => {
        mod on_memory {
            $($(#[$attribute])* #[tokio::test]
            async fn $scenario() {
                super::$scenario($crate::InMemory::default()).await;
            })+
        }

        mod on_sqlite {
            $($(#[$attribute])* #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $scenario() {
                super::$scenario($crate::InFile::default()).await;
            })+
        }

        mod on_postgres {
            $($(#[$attribute])* #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $scenario() {
                super::$scenario($crate::InPostgres::default()).await;
            })+
        }
    };
}
