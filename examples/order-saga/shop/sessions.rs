//! Sessions that many attempts share: statements go out as they come, each a transaction of its own, and
//! those that have gathered are flushed to disk together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use deadpool_postgres::{Object, Pool, PoolError};
use tokio::sync::Mutex;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row, Statement};

/// Transactions do not wait for the disk.
const WITHOUT_FLUSH: &str = "SET synchronous_commit = off";

/// One that does, and has something to flush: with it goes all that was committed before it.
const FLUSH: &str =
    "SELECT set_config('synchronous_commit', 'on', true), pg_logical_emit_message(true, 'order_saga', '')";

/// So many sessions, opened when they are needed.
pub(super) struct SharedSessions<const N: usize> {
    sessions: [Mutex<Option<Arc<SharedSession>>>; N],
    turn: AtomicUsize,
}

impl<const N: usize> Default for SharedSessions<N> {
    fn default() -> Self {
        Self { sessions: std::array::from_fn(|_| Mutex::default()), turn: AtomicUsize::default() }
    }
}

impl<const N: usize> SharedSessions<N> {
    /// They take turns. One that has ended is replaced.
    pub(super) async fn next(&self, pool: &Pool) -> Result<Arc<SharedSession>, PoolError> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % N;
        let mut shared = self.sessions[turn].lock().await;
        if let Some(session) = shared.as_ref().filter(|shared| !shared.session.is_closed()) {
            return Ok(Arc::clone(session));
        }
        // The pool counts the one that has ended until it has it back.
        *shared = None;
        let session = pool.get().await?;
        session.batch_execute(WITHOUT_FLUSH).await.map_err(PoolError::Backend)?;
        let session = SharedSession { session, begun: AtomicU64::new(0), flushed: Mutex::new(0) };
        Ok(Arc::clone(shared.insert(Arc::new(session))))
    }
}

/// A session that does not flush what it commits until it is told to.
pub(super) struct SharedSession {
    session: Object,
    /// How many flushes have begun.
    begun: AtomicU64,
    /// The last one that has succeeded. Whoever has the lock may begin one.
    flushed: Mutex<u64>,
}

impl SharedSession {
    /// A statement, as this session has it.
    pub(super) async fn prepare(&self, sql: &str) -> Result<Statement, Error> {
        self.session.prepare_cached(sql).await
    }

    /// Applies a statement. A crash of the server may undo it until it is flushed.
    pub(super) async fn query_one(&self, statement: &Statement, values: &[&(dyn ToSql + Sync)]) -> Result<Row, Error> {
        self.session.query_one(statement, values).await
    }

    /// Waits until what has been applied is on disk. It is the session in which it was applied: if the
    /// server has crashed since, there is none any more, and this is an error.
    pub(super) async fn flush(&self) -> Result<(), Error> {
        let begun = self.begun.load(Ordering::SeqCst);
        // Answers that came together are flushed together.
        tokio::task::yield_now().await;
        let mut flushed = self.flushed.lock().await;
        if *flushed > begun {
            // It began after this was applied.
            return Ok(());
        }
        let this = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let statement = self.session.prepare_cached(FLUSH).await?;
        self.session.query_one(&statement, &[]).await?;
        *flushed = this;
        Ok(())
    }
}
