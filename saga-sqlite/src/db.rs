//! A file with one writer thread and readers beside it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use saga_store::{ErrorKind, StoreError};
use tokio::sync::oneshot;

use crate::error::{closed, not_writable, open_error, store_error};
use crate::guard::Guard;
use crate::migrate::Schema;
use crate::options::{Options, SqliteBuilder};
use crate::reader::Readers;
use crate::session::Session;
use crate::tx::SqliteTx;
use crate::user::{LimitPages, UserWrite};
use crate::writer::{Counters, Job, Request, Stillness, Watcher, Writer};

/// More requests than this are refused until some are done.
const MAX_QUEUE: u64 = 100_000;

/// An `SQLite` file with one writer thread, which commits together what has gathered, and a few
/// readers beside it. A clone is another handle to the same; the last one, when it is dropped,
/// waits until what was asked for is written, and closes the file.
///
/// [`SqliteStore`](crate::SqliteStore) is built on it. On its own it serves business data that is
/// to be written as fast as the store writes: many small closures share one durable commit.
///
/// ```no_run
/// # async fn example() -> Result<(), saga_store::StoreError> {
/// let shop = saga_sqlite::SqliteDb::open("shop.db").await?;
/// shop.setup(|tx| tx.execute_batch("CREATE TABLE IF NOT EXISTS stock (sku TEXT PRIMARY KEY, units INTEGER)")).await?;
/// let sku = "CD-7".to_owned();
/// let sold = shop
///     .write(move |tx| tx.execute("UPDATE stock SET units = units - 1 WHERE sku = ?1 AND units > 0", [&sku]))
///     .await?;
/// # let _ = sold;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct SqliteDb {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: Arc<Path>,
    options: Options,
    requests: Option<Sender<Request>>,
    writer: Option<JoinHandle<()>>,
    readers: Readers,
    counters: Arc<Counters>,
}

/// What has been written since the file was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Transactions that were committed.
    pub transactions: u64,
    /// Calls that were answered by them.
    pub calls: u64,
    /// Journal rows that were appended.
    pub rows: u64,
}

impl SqliteBuilder {
    /// Opens the file as a database without the store's tables; creates it.
    pub async fn open_db(self) -> Result<SqliteDb, StoreError> {
        SqliteDb::open_with(self.path, self.options, None, None).await
    }
}

impl SqliteDb {
    /// Opens a file with the default options; creates it if there is none.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::builder(path).open_db().await
    }

    /// Options for a file that is about to be opened.
    pub fn builder(path: impl AsRef<Path>) -> SqliteBuilder {
        SqliteBuilder::new(path)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Runs `code` on the writer, in a savepoint of the next group commit. If it fails or panics
    /// its writes are undone; its answer leaves when they are durable.
    ///
    /// It may be called again, after its writes were undone, if the group has to be. Every write
    /// of this file waits for it: keep it short. See [`SqliteTx`] for what it may do.
    pub async fn write<T, F>(&self, code: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&SqliteTx<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        self.write_within(Some(self.shared.options.transaction_limit), code).await
    }

    /// The same without a time limit: for a schema, an index, a fill.
    pub async fn setup<T, F>(&self, code: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&SqliteTx<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        self.write_within(None, code).await
    }

    async fn write_within<T, F>(&self, limit: Option<Duration>, code: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&SqliteTx<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let (job, answered) = UserWrite::job(code, limit, Arc::clone(&self.shared.path));
        self.submit(job);
        answered.await.map_err(|_| closed())?
    }

    /// Runs `code` on a reader, in one read transaction: it sees the file as of one moment, with
    /// all that was acknowledged before.
    pub async fn read<T, F>(&self, code: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.shared.readers.read(code).await
    }

    /// Copies the file, as of one moment, to another that must not exist yet. Work goes on.
    ///
    /// Whoever opens an old copy as a store goes on from the moment of the copy: what its runs
    /// did since is done again, with the same idempotency keys.
    pub async fn backup(&self, to: impl AsRef<Path>) -> Result<(), StoreError> {
        let (from, to) = (Arc::clone(&self.shared.path), to.as_ref().to_owned());
        let (answer, answered) = oneshot::channel();
        let copy = move || drop(answer.send(copy_file(&from, &to)));
        std::thread::Builder::new().name("saga-sqlite-backup".to_owned()).spawn(copy).map_err(no_thread)?;
        answered.await.map_err(|_| closed())?
    }

    /// Lets the file grow to this many pages (of 4 KiB) and no further; `None` lifts the limit.
    /// A store that has reached it acts as on a full disk: writes wait until there is room.
    pub async fn limit_pages(&self, pages: Option<u32>) -> Result<(), StoreError> {
        let (job, answered) = LimitPages::job(pages);
        self.submit(job);
        answered.await.map_err(|_| closed())?
    }

    /// What has been written since the file was opened.
    pub fn stats(&self) -> Stats {
        let counters = &self.shared.counters;
        Stats {
            transactions: counters.transactions.load(Ordering::Relaxed),
            calls: counters.jobs.load(Ordering::Relaxed),
            rows: counters.rows.load(Ordering::Relaxed),
        }
    }

    pub(crate) async fn open_with(
        path: PathBuf,
        options: Options,
        schema: Option<&'static Schema>,
        watcher: Option<Arc<dyn Watcher>>,
    ) -> Result<Self, StoreError> {
        let path: Arc<Path> = path.into();
        let counters = Arc::new(Counters::default());
        let (requests, received) = channel();
        let (ready, opened) = oneshot::channel();
        let writer = {
            let (path, options, counters) = (Arc::clone(&path), options.clone(), Arc::clone(&counters));
            let work = move || {
                let (mut conn, readers) = match open_all(&path, &options, schema) {
                    Ok(connections) => connections,
                    Err(error) => return drop(ready.send(Err(error))),
                };
                let session = match Guard::install(&mut conn).and_then(|guard| Session::new(&conn, guard)) {
                    Ok(session) => session,
                    Err(error) => return drop(ready.send(Err(open_error(error, &path)))),
                };
                if ready.send(Ok(readers)).is_ok() {
                    let path = path.to_path_buf();
                    Writer { session, path, counters, watcher, stillness: Stillness::default() }.work(&received);
                }
            };
            std::thread::Builder::new().name("saga-sqlite-writer".to_owned()).spawn(work).map_err(no_thread)?
        };
        let readers = opened.await.map_err(|_| closed())??;
        let readers = Readers::start(readers, &path).map_err(no_thread)?;
        let shared = Shared { path, options, requests: Some(requests), writer: Some(writer), readers, counters };
        Ok(Self { shared: Arc::new(shared) })
    }

    pub(crate) fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.shared.counters)
    }

    /// Gives work to the writer; the job answers by itself, also if it cannot be taken.
    pub(crate) fn submit(&self, job: Box<dyn Job>) {
        let Some(requests) = &self.shared.requests else { return job.finish(Err(closed())) };
        let counters = &self.shared.counters;
        if counters.queued.fetch_add(1, Ordering::Relaxed) >= MAX_QUEUE {
            counters.queued.fetch_sub(1, Ordering::Relaxed);
            let message = format!("{MAX_QUEUE} requests wait for the writer already; try again in a second");
            return job.finish(Err(StoreError::new(ErrorKind::Overloaded, message)));
        }
        if let Err(unsent) = requests.send(Request::Job(job))
            && let Request::Job(job) = unsent.0
        {
            job.finish(Err(closed()));
        }
    }

    /// Tells the writer that somebody waits for hints.
    pub(crate) fn wake_writer(&self) {
        if let Some(requests) = &self.shared.requests {
            // If the writer has ended there is nothing to listen for.
            drop(requests.send(Request::Listen));
        }
    }
}

impl Drop for Shared {
    /// Waits for what was asked for, so that the file is closed and free when the last handle
    /// has gone.
    fn drop(&mut self) {
        self.requests = None;
        self.readers.stop();
        let this = std::thread::current().id();
        if let Some(writer) = self.writer.take().filter(|writer| writer.thread().id() != this)
            && writer.join().is_err()
        {
            tracing::error!("the writer thread panicked");
        }
    }
}

fn open_all(
    path: &Path,
    options: &Options,
    schema: Option<&Schema>,
) -> Result<(Connection, Vec<Connection>), StoreError> {
    let failed = |error| open_error(error, path);
    let mut writer = Connection::open_with_flags(path, flags() | OpenFlags::SQLITE_OPEN_CREATE).map_err(failed)?;
    writer.busy_timeout(options.busy_timeout).map_err(failed)?;
    // Without the right to write SQLite opens a file for reading.
    if writer.is_readonly("main").map_err(failed)? {
        return Err(not_writable(path));
    }
    if let Some(schema) = schema {
        // Before anything is written: the file may be another program's.
        schema.check(&writer, path)?;
    }
    prepare_writer(&writer, options).map_err(failed)?;
    if let Some(schema) = schema {
        schema.migrate(&mut writer, path)?;
    }
    let readers = (0..options.readers).map(|_| open_reader(path, options)).collect::<Result<_, _>>().map_err(failed)?;
    Ok((writer, readers))
}

fn flags() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

fn prepare_writer(conn: &Connection, options: &Options) -> rusqlite::Result<()> {
    // Only has an effect before the first table is made.
    conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    let mode: String = conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        tracing::warn!(%mode, "the file system does not allow a write-ahead log; readers will wait for the writer");
    }
    conn.pragma_update(None, "synchronous", options.synchronous.as_pragma())?;
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "cache_size", -32_768)?;
    // A checkpoint each 16 MiB instead of 4: a hot page is copied into the file less often.
    conn.pragma_update_and_check(None, "wal_autocheckpoint", 4_000, |_| Ok(()))?;
    conn.pragma_update_and_check(None, "journal_size_limit", 64 * 1024 * 1024, |_| Ok(()))?;
    conn.set_prepared_statement_cache_capacity(128);
    Ok(())
}

fn open_reader(path: &Path, options: &Options) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(path, flags())?;
    conn.busy_timeout(options.busy_timeout)?;
    conn.pragma_update(None, "query_only", true)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "cache_size", -8_192)?;
    conn.set_prepared_statement_cache_capacity(64);
    Ok(conn)
}

fn copy_file(from: &Path, to: &Path) -> Result<(), StoreError> {
    let copy = |target: &str| {
        let conn = Connection::open_with_flags(from, flags())?;
        conn.execute("VACUUM INTO ?1", [target])
    };
    let Some(target) = to.to_str() else {
        let message = format!("cannot back up to {}: the path is not UTF-8", to.display());
        return Err(StoreError::new(ErrorKind::Invalid, message));
    };
    if to.exists() {
        let message = format!("cannot back up to {}: it exists already; name a new file", to.display());
        return Err(StoreError::new(ErrorKind::Invalid, message));
    }
    copy(target).map(drop).map_err(|error| store_error(error, to))
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn no_thread(error: std::io::Error) -> StoreError {
    StoreError::new(ErrorKind::Unavailable, format!("cannot start a thread: {error}"))
}
