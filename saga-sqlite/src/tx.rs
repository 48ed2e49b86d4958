//! What a transactional activity gets, and how it is run.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bytes::Bytes;
use rusqlite::{CachedStatement, Connection, Error, Params, Row, Statement, ffi};
use saga_store::{BlockingTxFn, Transaction, TxFamily, TxVerdict};

use crate::error::{self, Abort};
use crate::session::Session;
use crate::writer::{Mode, panic_message};

/// The open transaction of a transactional activity, or of
/// [`SqliteDb::write`](crate::SqliteDb::write).
///
/// It has the methods of a [`rusqlite::Connection`] that read and write rows. The transaction
/// itself is the store's: statements that begin, commit or roll back, savepoints, `ATTACH`,
/// `PRAGMA` and writes to tables whose name begins with `saga_` are refused with
/// `not authorized`. A statement that is still running when the time limit is over fails with
/// `interrupted`.
#[derive(Debug)]
pub struct SqliteTx<'a> {
    conn: &'a Connection,
    outage: Cell<Option<ffi::Error>>,
}

impl SqliteTx<'_> {
    /// Runs one statement that returns no rows; the number of rows that it changed.
    pub fn execute<P: Params>(&self, sql: &str, params: P) -> rusqlite::Result<usize> {
        self.noting(self.conn.prepare_cached(sql).and_then(|mut statement| statement.execute(params)))
    }

    /// Runs statements that return no rows, such as a schema.
    pub fn execute_batch(&self, sql: &str) -> rusqlite::Result<()> {
        self.noting(self.conn.execute_batch(sql))
    }

    /// The first row of a query; [`rusqlite::Error::QueryReturnedNoRows`] if there is none.
    pub fn query_row<T, P, F>(&self, sql: &str, params: P, read: F) -> rusqlite::Result<T>
    where
        P: Params,
        F: FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    {
        self.noting(self.conn.prepare_cached(sql).and_then(|mut statement| statement.query_row(params, read)))
    }

    /// All rows of a query.
    pub fn query_map<T, P, F>(&self, sql: &str, params: P, read: F) -> rusqlite::Result<Vec<T>>
    where
        P: Params,
        F: FnMut(&Row<'_>) -> rusqlite::Result<T>,
    {
        self.noting(
            self.conn.prepare_cached(sql).and_then(|mut statement| statement.query_map(params, read)?.collect()),
        )
    }

    /// A statement to be used more than once.
    pub fn prepare(&self, sql: &str) -> rusqlite::Result<Statement<'_>> {
        self.noting(self.conn.prepare(sql))
    }

    /// A statement that is kept prepared for the next transaction.
    pub fn prepare_cached(&self, sql: &str) -> rusqlite::Result<CachedStatement<'_>> {
        self.noting(self.conn.prepare_cached(sql))
    }

    /// The row id of the last insert of this connection.
    pub fn last_insert_rowid(&self) -> i64 {
        self.conn.last_insert_rowid()
    }

    /// How many rows the last statement changed.
    pub fn changes(&self) -> u64 {
        self.conn.changes()
    }

    /// Remembers a full disk and the like: such a failure is the store's, whatever the user's
    /// code makes of it.
    fn noting<T>(&self, end: rusqlite::Result<T>) -> rusqlite::Result<T> {
        if let Err(error) = &end
            && is_store_outage(error)
        {
            self.outage.set(error.sqlite_error().copied());
        }
        end
    }
}

fn is_store_outage(error: &Error) -> bool {
    // An interrupt is this step's own time limit.
    error::is_outage(error) && error::code(error) != Some(rusqlite::ErrorCode::OperationInterrupted)
}

/// The family of [`SqliteTx`].
#[derive(Debug, Clone, Copy)]
pub struct SqliteTransactions;

impl TxFamily for SqliteTransactions {
    type Tx<'a> = SqliteTx<'a>;

    const STORE_KIND: &'static str = crate::KIND;
}

impl Transaction for SqliteTx<'_> {
    type Family = SqliteTransactions;
}

/// How user code ended.
pub(crate) enum UserEnd<T> {
    /// Its writes are part of the transaction.
    Kept(T),
    /// Its writes are undone, as it wished.
    RolledBack(T),
    /// Its writes are undone against its wish.
    Refused(String),
    /// It panicked; its writes are undone.
    Panicked(String),
    /// A failure has ended the whole transaction. Had it not been for that, this was the end.
    Lost(Box<UserEnd<T>>),
}

/// Runs user code in a savepoint. `keep` says of its answer whether its writes are to be kept.
pub(crate) fn run_user<T>(
    session: &Session<'_>,
    mode: Mode,
    limit: Option<Duration>,
    code: impl FnOnce(&SqliteTx<'_>) -> T,
    keep: impl FnOnce(&T) -> bool,
) -> Result<UserEnd<T>, Abort> {
    session.savepoint()?;
    let violations = if mode == Mode::Suspect { session.foreign_key_violations()? } else { 0 };
    let tx = SqliteTx { conn: session.conn(), outage: Cell::new(None) };
    let entered = session.guard().enter(limit);
    let end = catch_unwind(AssertUnwindSafe(|| code(&tx)));
    drop(entered);
    if let Some(outage) = tx.outage.get() {
        return Err(Abort::Sqlite(Error::SqliteFailure(outage, None)));
    }
    if !session.in_transaction() {
        return Ok(UserEnd::Lost(Box::new(match end {
            Ok(answer) if keep(&answer) => UserEnd::Refused(LOST.to_owned()),
            Ok(answer) => UserEnd::RolledBack(answer),
            Err(panic) => UserEnd::Panicked(panic_message(&*panic)),
        })));
    }
    let end = match end {
        Err(panic) => UserEnd::Panicked(panic_message(&*panic)),
        Ok(answer) if !keep(&answer) => UserEnd::RolledBack(answer),
        Ok(_) if mode == Mode::Suspect && session.foreign_key_violations()? > violations => {
            UserEnd::Refused("FOREIGN KEY constraint failed: a row refers to one that does not exist".to_owned())
        }
        Ok(answer) => UserEnd::Kept(answer),
    };
    if matches!(end, UserEnd::Kept(_)) {
        session.release()?;
    } else {
        session.roll_back_to_savepoint()?;
    }
    Ok(end)
}

const LOST: &str = "the step went on after a failure that had undone its writes: \
     it ran into its time limit, or a trigger of its tables rolled back";

/// How a transactional step ended, as the commit needs it.
#[derive(Debug, Clone)]
pub(crate) enum StepEnd {
    Keep(Bytes),
    RollBack,
    Reject(String),
}

/// Runs a transactional step. The second value says whether the transaction was lost and has to
/// be begun again, without running the step again.
pub(crate) fn run_step(
    session: &Session<'_>,
    mode: Mode,
    limit: Duration,
    step: &mut BlockingTxFn<SqliteTransactions>,
) -> Result<(StepEnd, bool), Abort> {
    let keeps = |verdict: &TxVerdict| matches!(verdict, TxVerdict::Keep(_));
    match run_user(session, mode, Some(limit), |tx| (step.0)(tx), keeps)? {
        UserEnd::Lost(end) => Ok((step_end(*end), true)),
        end => Ok((step_end(end), false)),
    }
}

fn step_end(end: UserEnd<TxVerdict>) -> StepEnd {
    match end {
        UserEnd::Kept(TxVerdict::Keep(body)) => StepEnd::Keep(body),
        UserEnd::Refused(why) => StepEnd::Reject(why),
        UserEnd::Panicked(why) => {
            tracing::error!(%why, "a transactional step panicked");
            StepEnd::RollBack
        }
        UserEnd::Kept(_) | UserEnd::RolledBack(_) => StepEnd::RollBack,
        UserEnd::Lost(end) => step_end(*end),
    }
}
