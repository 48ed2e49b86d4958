//! The writer's connection with its prepared statements.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Params, Row, Statement};

use crate::guard::Guard;

/// A statement of this crate: its text and where a session keeps it prepared.
///
/// `rusqlite`'s cache is left to user code, so that nothing prepared with this crate's rights
/// can be found there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sql {
    pub(crate) slot: usize,
    pub(crate) text: &'static str,
}

/// How many statements a session can keep.
pub(crate) const SLOTS: usize = 96;

const BEGIN: Sql = Sql { slot: 0, text: "BEGIN IMMEDIATE" };
const COMMIT: Sql = Sql { slot: 1, text: "COMMIT" };
const SAVEPOINT: Sql = Sql { slot: 2, text: "SAVEPOINT saga_item" };
const RELEASE: Sql = Sql { slot: 3, text: "RELEASE saga_item" };
const ROLLBACK_TO: Sql = Sql { slot: 4, text: "ROLLBACK TO saga_item" };
const DATA_VERSION: Sql = Sql { slot: 5, text: "PRAGMA data_version" };
const FOREIGN_KEY_CHECK: Sql = Sql { slot: 6, text: "PRAGMA foreign_key_check" };

/// What `PRAGMA synchronous` says of `FULL`.
const SYNCHRONOUS_FULL: i64 = 2;

/// The first slot that [`crate::sql`] uses.
pub(crate) const FIRST_FREE_SLOT: usize = 8;

/// The writer's connection with its prepared statements.
pub(crate) struct Session<'c> {
    conn: &'c Connection,
    statements: Vec<RefCell<Option<Statement<'c>>>>,
    guard: Arc<Guard>,
    epoch: Cell<u64>,
    version: Cell<i64>,
    /// Whether a transaction may be left to a later one to flush: in a write-ahead log, which is
    /// flushed from its end, of a connection that flushes each commit.
    may_defer: bool,
    /// Whether the connection is set to flush.
    flushes: Cell<bool>,
}

impl<'c> Session<'c> {
    pub(crate) fn new(conn: &'c Connection, guard: Arc<Guard>) -> rusqlite::Result<Self> {
        let mode: String = conn.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
        let synchronous: i64 = conn.pragma_query_value(None, "synchronous", |row| row.get(0))?;
        let session = Self {
            conn,
            statements: (0..SLOTS).map(|_| RefCell::new(None)).collect(),
            guard,
            epoch: Cell::new(0),
            version: Cell::new(0),
            may_defer: mode == "wal" && synchronous == SYNCHRONOUS_FULL,
            flushes: Cell::new(true),
        };
        session.version.set(session.data_version()?);
        Ok(session)
    }

    pub(crate) fn conn(&self) -> &'c Connection {
        self.conn
    }

    pub(crate) fn guard(&self) -> &Guard {
        &self.guard
    }

    /// What is remembered of the file is good as long as this number is the same: it changes
    /// with each rollback and with each write of another connection.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.get()
    }

    /// Runs a statement that returns no rows; the number of rows that it changed.
    pub(crate) fn run(&self, sql: &Sql, params: impl Params) -> rusqlite::Result<usize> {
        self.with(sql, |statement| statement.execute(params))
    }

    /// The first row of a query, if there is one.
    pub(crate) fn first<T>(
        &self,
        sql: &Sql,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Option<T>> {
        self.with(sql, |statement| statement.query_row(params, read).optional())
    }

    /// All rows of a query.
    pub(crate) fn all<T>(
        &self,
        sql: &Sql,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        self.with(sql, |statement| statement.query_map(params, read)?.collect())
    }

    /// A prepared statement.
    pub(crate) fn with<T>(
        &self,
        sql: &Sql,
        use_it: impl FnOnce(&mut Statement<'c>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let mut slot = self.statements[sql.slot].borrow_mut();
        if slot.is_none() {
            *slot = Some(self.conn.prepare(sql.text)?);
        }
        match slot.as_mut() {
            Some(statement) => use_it(statement),
            None => Err(rusqlite::Error::InvalidQuery),
        }
    }

    /// Begins a write transaction, which is flushed as it is committed, or by the first after it that is.
    /// True if another connection wrote since the last one.
    pub(crate) fn begin(&self, flush: bool) -> rusqlite::Result<bool> {
        let flush = flush || !self.may_defer;
        if flush != self.flushes.get() {
            self.conn.pragma_update(None, "synchronous", if flush { "FULL" } else { "NORMAL" })?;
            self.flushes.set(flush);
        }
        self.run(&BEGIN, [])?;
        self.notice_others()
    }

    pub(crate) fn commit(&self) -> rusqlite::Result<()> {
        self.run(&COMMIT, []).map(drop)
    }

    /// Whether a transaction is open: some failures end it.
    pub(crate) fn in_transaction(&self) -> bool {
        !self.conn.is_autocommit()
    }

    /// Undoes the transaction, if it is still open.
    pub(crate) fn roll_back(&self) {
        self.forget();
        if self.in_transaction()
            && let Err(error) = self.conn.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a rollback failed");
        }
    }

    /// Whether another connection has written since the last look.
    pub(crate) fn notice_others(&self) -> rusqlite::Result<bool> {
        let version = self.data_version()?;
        let others = version != self.version.replace(version);
        if others {
            self.forget();
        }
        Ok(others)
    }

    fn data_version(&self) -> rusqlite::Result<i64> {
        self.with(&DATA_VERSION, |statement| statement.query_row([], |row| row.get(0)))
    }

    pub(crate) fn savepoint(&self) -> rusqlite::Result<()> {
        self.run(&SAVEPOINT, []).map(drop)
    }

    pub(crate) fn release(&self) -> rusqlite::Result<()> {
        self.run(&RELEASE, []).map(drop)
    }

    /// Makes all that is remembered of the file be read again.
    pub(crate) fn forget(&self) {
        self.epoch.set(self.epoch.get() + 1);
    }

    /// Undoes everything since the savepoint, and ends it. Nothing, if a failure has ended the
    /// whole transaction.
    pub(crate) fn roll_back_to_savepoint(&self) -> rusqlite::Result<()> {
        if self.in_transaction() {
            self.run(&ROLLBACK_TO, [])?;
            self.release()?;
        }
        Ok(())
    }

    /// How many rows refer to rows that do not exist. Reads every table with foreign keys.
    pub(crate) fn foreign_key_violations(&self) -> rusqlite::Result<usize> {
        self.all(&FOREIGN_KEY_CHECK, [], |_| Ok(())).map(|rows| rows.len())
    }
}
