//! What users' own code gets to write through: the transaction of a transactional activity, or
//! one that a program begins itself.

mod ending;
mod session;
mod start;
mod step;
mod words;

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join;
use saga_store::{AsyncTransaction, ErrorKind, Hint, StoreError, TxFamily};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row, Statement};

use crate::db::Db;
use crate::error::Abort;
use crate::hints::Hints;
use crate::sql::IS_OPEN;
use crate::steps::Limits;
use session::TxSession;
pub(crate) use step::transact;

/// How long a statement may take, and how long the transaction may idle, in a transaction that a
/// program has begun itself.
pub(crate) const OWN_LIMITS: Limits = Limits { statement: Duration::from_secs(30), idle: Duration::from_secs(30) };

/// An open transaction: that of a transactional activity, or one of
/// [`PostgresStore::begin`](crate::PostgresStore::begin).
///
/// In an activity the transaction is the store's: what was written is committed together with
/// the step's journal record if the activity returns `Ok`, and rolled back if it returns an error,
/// panics, runs into its timeout or is cancelled. Statements that begin, commit or roll back, and
/// those whose effect on the session would outlive the transaction (`SET` without `LOCAL`,
/// `LISTEN`, …), fail with the server's error 2D000; savepoints are allowed. Statements are
/// prepared once a session. `standard_conforming_strings` is on; `search_path` and all else is as the store's URL
/// and the role have it.
///
/// ```
/// use saga_postgres::{PostgresTx, tokio_postgres};
///
/// /// False if there is not enough money.
/// async fn take(tx: &PostgresTx<'_>, account: i64, cents: i64) -> Result<bool, tokio_postgres::Error> {
///     let sql = "UPDATE accounts SET cents = cents - $2 WHERE id = $1 AND cents >= $2";
///     Ok(tx.execute(sql, &[&account, &cents]).await? == 1)
/// }
/// ```
pub struct PostgresTx<'a> {
    session: TxSession,
    db: Arc<Db>,
    hints: Arc<Hints>,
    state: Mutex<State>,
    /// How long it may be idle before the server ends it.
    idle: Duration,
    lent: PhantomData<&'a ()>,
}

/// What is remembered of a transaction.
struct State {
    /// When the last statement ended.
    quiet_since: Instant,
    /// A failure that ends the transaction, whatever the user's code makes of it.
    noted: Option<Noted>,
    /// The first statement that failed.
    failed: Option<String>,
    /// A run was started in it.
    started: bool,
}

/// Why a transaction cannot be committed.
#[derive(Debug, Clone)]
enum Noted {
    /// Another transaction had to go on.
    Conflict(String),
    /// The session is gone.
    Lost(String),
    /// The session was ended because it was idle for too long.
    Idle,
    /// The transaction takes no writes: the server became a replica, or the user wished it.
    ReadOnly(String),
}

/// The family of [`PostgresTx`].
#[derive(Debug, Clone, Copy)]
pub struct PostgresTransactions;

impl TxFamily for PostgresTransactions {
    type Tx<'a> = PostgresTx<'a>;

    const STORE_KIND: &'static str = crate::KIND;
}

impl AsyncTransaction for PostgresTx<'_> {
    type Family = PostgresTransactions;
}

impl PostgresTx<'_> {
    /// Begins a transaction. The server is not waited for: the first statement goes with it.
    pub(crate) async fn begin(db: &Arc<Db>, hints: &Arc<Hints>, limits: Limits) -> Result<Self, Abort> {
        let mut object = db.step_session().await?;
        object.begin(limits).await;
        let session = TxSession::new(object, db);
        let state = State { quiet_since: Instant::now(), noted: None, failed: None, started: false };
        let (db, hints) = (Arc::clone(db), Arc::clone(hints));
        Ok(Self { session, db, hints, state: Mutex::new(state), idle: limits.idle, lent: PhantomData })
    }

    /// Runs a statement; the number of rows that it changed.
    pub async fn execute(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<u64, Error> {
        let statement = self.prepare(sql).await?;
        self.watch_prepared(sql, pin!(self.session.execute(&statement, values))).await
    }

    /// All rows of a query.
    pub async fn query(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Error> {
        let statement = self.prepare(sql).await?;
        self.watch_prepared(sql, pin!(self.session.query(&statement, values))).await
    }

    /// The row of a query; an error if there is none, or more than one.
    pub async fn query_one(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Row, Error> {
        let statement = self.prepare(sql).await?;
        self.watch_prepared(sql, pin!(self.session.query_one(&statement, values))).await
    }

    /// The row of a query, if there is one; an error if there are more.
    pub async fn query_opt(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Option<Row>, Error> {
        let statement = self.prepare(sql).await?;
        self.watch_prepared(sql, pin!(self.session.query_opt(&statement, values))).await
    }

    /// Runs statements without values, such as a schema.
    pub async fn batch_execute(&self, sql: &str) -> Result<(), Error> {
        self.check(sql).await?;
        self.watch(pin!(self.session.batch_execute(sql))).await
    }

    /// Commits a transaction that the program has begun itself, and tells the workers of runs
    /// that were started in it. That of an activity is not its own to commit.
    ///
    /// An error of the kind [`Unavailable`](saga_store::ErrorKind::Unavailable) leaves open
    /// whether it is committed: the session was lost before there was an answer. It is not if the
    /// transaction was not begun, which has this kind too, and says so.
    pub async fn commit(self) -> Result<(), StoreError> {
        let (open, ended) = {
            let both = pin!(join(self.session.batch_execute(IS_OPEN), self.session.batch_execute("COMMIT")));
            self.session.answer(both).await
        };
        if let Err(error) = open.and(ended) {
            let not_begun = self.session.not_begun();
            let lost = not_begun.is_some() || self.session.is_closed();
            let kind = if lost { ErrorKind::Unavailable } else { ErrorKind::Invalid };
            let failed = not_begun.or_else(|| self.state().failed.take()).unwrap_or_else(|| match error.code() {
                Some(&SqlState::DIVISION_BY_ZERO) => "a statement in it has ended it before".to_owned(),
                _ => Abort::from(error).text(),
            });
            return Err(StoreError::new(kind, format!("the transaction is not committed: {failed}")));
        }
        self.tell();
        self.session.give_back(false).await;
        Ok(())
    }

    /// Rolls back a transaction that the program has begun itself, as dropping it does.
    pub async fn roll_back(self) {
        if !matches!(self.noted(), Some(Noted::ReadOnly(_))) {
            self.session.roll_back().await;
        }
    }

    /// Gives up the transaction, and the session with it, of which nobody knows enough.
    fn give_up(self) {
        self.session.spoil();
    }

    /// Ends a transaction that takes no writes, and says whether no other of its server would.
    async fn ends_read_only(self) -> bool {
        let session = "SELECT pg_is_in_recovery()";
        let asked = async {
            self.session.batch_execute("ROLLBACK").await?;
            self.session.query_one(session, &[]).await
        };
        // The session is closed in any case: nobody else shall have it.
        asked.await.is_ok_and(|row| row.get(0))
    }

    async fn prepare(&self, sql: &str) -> Result<Statement, Error> {
        if let Some(statement) = self.session.known(sql) {
            return Ok(statement);
        }
        self.check(sql).await?;
        self.watch(pin!(self.session.learn(sql))).await
    }

    /// Waits for a statement that is prepared. One that no longer fits the tables, since they were
    /// changed meanwhile, is prepared anew by the next transaction.
    async fn watch_prepared<T>(
        &self,
        sql: &str,
        statement: Pin<&mut impl Future<Output = Result<T, Error>>>,
    ) -> Result<T, Error> {
        let answer = self.watch(statement).await;
        if let Err(error) = &answer
            && is_stale(error)
        {
            self.session.forget(sql);
            if error.code() == Some(&SqlState::INVALID_SQL_STATEMENT_NAME) {
                // What else it has lost, such as its settings, nobody knows.
                self.session.spoil();
            }
        }
        answer
    }

    /// Lets the server refuse what is not the user's to send, so that the transaction fails.
    async fn check(&self, sql: &str) -> Result<(), Error> {
        let Some(why) = words::refusal(sql) else { return Ok(()) };
        let why = why.replace('\'', "''");
        let refuse = format!("DO $saga$ BEGIN RAISE EXCEPTION USING ERRCODE = '2D000', MESSAGE = '{why}'; END $saga$");
        self.watch(pin!(self.session.batch_execute(&refuse))).await
    }

    /// Waits for a statement, and notes why it failed. It is lent: a future that is given away has its
    /// room once more wherever it is waited for.
    async fn watch<T>(&self, statement: Pin<&mut impl Future<Output = Result<T, Error>>>) -> Result<T, Error> {
        let underway = self.session.underway();
        let answer = self.session.answer(statement).await;
        underway.ended();
        let mut state = self.state();
        if let Err(error) = &answer {
            let idled = state.quiet_since.elapsed() >= self.idle;
            let text = crate::error::describe(error);
            let noted = match error.code().map(SqlState::code) {
                Some("40001" | "40P01") => Some(Noted::Conflict(text.clone())),
                None if self.session.is_closed() && idled => Some(Noted::Idle),
                None if self.session.is_closed() => Some(Noted::Lost(text.clone())),
                Some("25P03") if idled => Some(Noted::Idle),
                Some("57P01" | "57P02" | "57P03" | "25P03") => Some(Noted::Lost(text.clone())),
                Some("25006") => Some(Noted::ReadOnly(text.clone())),
                _ => None,
            };
            state.noted = state.noted.take().or(noted);
            state.failed.get_or_insert(text);
        }
        state.quiet_since = Instant::now();
        answer
    }

    fn noted(&self) -> Option<Noted> {
        self.state().noted.clone()
    }

    /// Tells of runs that were started in it.
    fn tell(&self) {
        if self.state().started {
            self.hints.send(vec![Hint::Ready]);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a prepared statement is of no use any more: what it gives has changed, or it is gone.
fn is_stale(error: &Error) -> bool {
    matches!(error.code(), Some(&(SqlState::FEATURE_NOT_SUPPORTED | SqlState::INVALID_SQL_STATEMENT_NAME)))
}

impl fmt::Debug for PostgresTx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresTx").field("at", &self.db.address).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt as _;
    use tokio_postgres::error::SqlState;

    use crate::PostgresStore;

    async fn store(sessions: usize) -> PostgresStore {
        let builder = PostgresStore::builder(&saga_test_server::shared().url());
        builder.schema(saga_test_server::fresh_name()).transaction_sessions(sessions).connect().await.unwrap()
    }

    #[tokio::test]
    async fn outside_of_its_transaction_a_session_writes_nothing() {
        let store = store(1).await;
        // Where the limits are set in the transaction, where the session has just taken to them, and where it keeps them.
        for before in 0..3 {
            for _ in 0..before {
                store.begin().await.unwrap().commit().await.unwrap();
            }
            let tx = store.begin().await.unwrap();
            assert_eq!(tx.session.keeps_its_limits(), before > 0);
            // As if `BEGIN` had failed, or what was sent had ended the transaction.
            tx.session.batch_execute("ROLLBACK").await.unwrap();
            let error = tx.execute("CREATE TABLE public.saga_outside (one int)", &[]).await.unwrap_err();
            assert_eq!(error.code(), Some(&SqlState::READ_ONLY_SQL_TRANSACTION), "{error}");
            assert!(tx.commit().await.is_err(), "and its session is closed");
        }
    }

    #[tokio::test]
    async fn a_session_that_is_being_opened_is_not_waited_for_by_those_in_use() {
        let store = store(2).await;
        let first = store.begin().await.unwrap();
        let mut opening = pin!(store.begin());
        assert!(opening.as_mut().now_or_never().is_none(), "it connects");
        assert!(!store.database().step_sessions_are_short(), "it gets a session of its own");
        let second = opening.await.unwrap();
        let mut waits = pin!(store.begin());
        assert!(waits.as_mut().now_or_never().is_none());
        assert!(store.database().step_sessions_are_short());
        first.roll_back().await;
        let third = waits.await.unwrap();
        assert!(!store.database().step_sessions_are_short());
        second.commit().await.unwrap();
        third.commit().await.unwrap();
    }
}
