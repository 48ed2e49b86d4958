//! Sessions with the database, and how statements are sent.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use deadpool::managed::{self, PoolBuilder};
use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use saga_store::{ErrorKind, StoreError, Timestamp};
use tokio::time::error::Elapsed;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Row};

use crate::address::Address;
use crate::error::{Abort, unavailable};
use crate::options::Options;
use crate::rights;
use crate::sql::{self, Sql, Texts};
use crate::steps::{StepManager, StepObject, StepPool};

/// Values of a statement.
pub(crate) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Values of a statement that is sent with their types.
pub(crate) type TypedValues<'a> = &'a [(&'a (dyn ToSql + Sync), Type)];

/// A call that has no answer for so long has none: the server's own limit comes before.
const PATIENCE: Duration = Duration::from_secs(45);

/// No transaction of a step idles longer, whatever the lease.
const LONGEST_IDLE: Duration = Duration::from_secs(8);

/// Whose session a statement needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    /// The heart's: its beat is what keeps others from taking the worker's runs, so it waits for
    /// nobody, however many commits are under way or held up.
    Heart,
    /// The engine's own: commits, claims, the outbox. Never behind clients.
    Engine,
    /// Clients' and operators'.
    Clients,
}

/// A database with its sessions.
#[derive(Debug)]
pub(crate) struct Db {
    pub(crate) address: Address,
    pub(crate) schema: String,
    pub(crate) texts: Texts,
    heart: Pool,
    engine: Pool,
    clients: Pool,
    /// For users' own code, in transactions. Never between commits or clients and theirs.
    steps: StepPool,
    /// How long a call of a client waits for a session.
    pub(crate) wait: Duration,
    /// The shortest lease of a worker of this store, in microseconds.
    lease: AtomicI64,
    /// The latest time that the server has told. Its clock may be set back.
    last: AtomicI64,
    /// Up to which end runs have been looked at in this pass of a purge.
    pub(crate) purged: AtomicI64,
}

impl Db {
    pub(crate) fn new(address: Address, options: &Options) -> Result<Arc<Self>, StoreError> {
        let engine = options.pool_size.div_ceil(2);
        let clients = (options.pool_size - engine).max(1);
        let wait = Some(options.wait);
        let heart = pool(&address, options, 1, sql::SESSION, wait)?;
        let engine = pool(&address, options, engine, sql::SESSION, wait)?;
        let clients = pool(&address, options, clients, sql::SESSION, wait)?;
        // Steps wait for their turn however long it takes.
        let steps = StepPool::builder(StepManager(manager(&address)?));
        let steps = built(sized(steps, options, options.transaction_sessions, None))?;
        let lease = AtomicI64::new(i64::MAX);
        let (schema, texts) = (options.schema.clone(), Texts::new(&options.schema));
        Ok(Arc::new(Self {
            address,
            schema,
            texts,
            heart,
            engine,
            clients,
            steps,
            wait: options.wait,
            lease,
            last: AtomicI64::new(i64::MIN),
            purged: AtomicI64::new(i64::MIN),
        }))
    }

    /// A session, for more than one statement.
    pub(crate) async fn session(&self, whose: For) -> Result<Object, Abort> {
        let pool = match whose {
            For::Heart => &self.heart,
            For::Engine => &self.engine,
            For::Clients => &self.clients,
        };
        Ok(pool.get().await?)
    }

    /// A session for users' own code.
    pub(crate) async fn step_session(&self) -> Result<StepObject, Abort> {
        Ok(self.steps.get().await?)
    }

    /// Whether somebody waits for a session for users' own code, and not for one that is being opened.
    pub(crate) fn step_sessions_are_short(&self) -> bool {
        let pool = self.steps.status();
        pool.size == pool.max_size && pool.waiting > 0
    }

    /// Sends one statement and gives its rows.
    pub(crate) async fn query(&self, whose: For, sql: Sql, values: Values<'_>) -> Result<Vec<Row>, Abort> {
        let session = self.session(whose).await?;
        let answer = {
            let sent = pin!(async {
                let statement = session.prepare_cached(self.texts.of(sql)).await?;
                session.query(&statement, values).await
            });
            tokio::time::timeout(PATIENCE, sent).await
        };
        self.settle(session, sql.name, answer).await
    }

    /// Sends some statements on one session, each without waiting for the answer to the one before.
    pub(crate) async fn query_in_a_row<const N: usize>(
        &self,
        whose: For,
        calls: [(Sql, Values<'_>); N],
    ) -> Result<[Vec<Row>; N], Abort> {
        let session = self.session(whose).await?;
        let names = calls.map(|(sql, _)| sql.name).join(", ");
        let sent = futures_util::future::try_join_all(calls.map(|(sql, values)| {
            let (session, text) = (&session, self.texts.of(sql));
            async move {
                let statement = session.prepare_cached(text).await?;
                session.query(&statement, values).await
            }
        }));
        let answer = tokio::time::timeout(PATIENCE, sent).await;
        let rows = self.settle(session, &names, answer).await?;
        rows.try_into().map_err(|_| unavailable("an answer to one of several statements is missing".to_owned()).into())
    }

    /// Sends one statement whose text is not always the same, with the types of its values.
    pub(crate) async fn query_text(&self, name: &str, text: &str, values: TypedValues<'_>) -> Result<Vec<Row>, Abort> {
        let session = self.session(For::Clients).await?;
        let answer = tokio::time::timeout(PATIENCE, session.query_typed(text, values)).await;
        self.settle(session, name, answer).await
    }

    /// Gives up a session that is of no further use, and finds out which right was missing.
    async fn settle<T>(
        &self,
        session: Object,
        name: &str,
        answer: Result<Result<T, Error>, Elapsed>,
    ) -> Result<T, Abort> {
        match answer {
            Ok(Ok(rows)) => Ok(rows),
            Ok(Err(error)) => {
                let abort = Abort::from(error);
                if abort.is_stale_session() {
                    drop(Object::take(session));
                } else if abort.is_lack_of_rights() {
                    return Err(abort.lacking(rights::missing(&session, &self.schema, false).await));
                }
                Err(abort)
            }
            Err(_) => {
                drop(Object::take(session));
                Err(unavailable(format!("{} did not answer the statement {name} in time", self.address.place)).into())
            }
        }
    }

    /// The server's time as a call's caller sees it: it does not go back.
    pub(crate) fn time(&self, micros: i64) -> Timestamp {
        Timestamp::from_micros(self.last.fetch_max(micros, Ordering::Relaxed).max(micros))
    }

    /// A worker with this lease uses the store.
    pub(crate) fn leased(&self, lease: Duration) {
        self.lease.fetch_min(i64::try_from(lease.as_micros()).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// How long the transaction of a step may idle: two thirds of the lease, so that a worker that
    /// is stopped holds no rows when others take over.
    pub(crate) fn idle_limit(&self) -> Duration {
        let lease = u64::try_from(self.lease.load(Ordering::Relaxed)).unwrap_or_default();
        (Duration::from_micros(lease) * 2 / 3).min(LONGEST_IDLE)
    }

    pub(crate) fn call_error(&self, abort: Abort) -> StoreError {
        abort.into_call_error(&self.address.place)
    }

    pub(crate) fn close(&self) {
        self.heart.close();
        self.engine.close();
        self.clients.close();
        self.steps.close();
    }
}

fn pool(
    address: &Address,
    options: &Options,
    size: usize,
    setting: &'static str,
    wait: Option<Duration>,
) -> Result<Pool, StoreError> {
    let set_up = Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, _| {
        Box::pin(async move { client.batch_execute(setting).await.map_err(HookError::Backend) })
    });
    built(sized(Pool::builder(manager(address)?), options, size, wait).post_create(set_up))
}

fn manager(address: &Address) -> Result<Manager, StoreError> {
    let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    Ok(Manager::from_config(address.config.clone(), address.tls()?, config))
}

fn sized<M: managed::Manager>(
    pool: PoolBuilder<M>,
    options: &Options,
    size: usize,
    wait: Option<Duration>,
) -> PoolBuilder<M> {
    pool.max_size(size).runtime(Runtime::Tokio1).wait_timeout(wait).create_timeout(Some(options.wait))
}

fn built<M: managed::Manager>(pool: PoolBuilder<M>) -> Result<managed::Pool<M>, StoreError> {
    pool.build().map_err(|error| StoreError::new(ErrorKind::Bug, format!("no pool of sessions: {error}")))
}
