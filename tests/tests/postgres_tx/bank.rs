//! A bank of one account, whose activities write within the transaction of their record.

use std::sync::{Arc, OnceLock};

use saga_postgres::{PostgresStore, PostgresTx, tokio_postgres};
use saga_runtime::prelude::*;
use saga_runtime::{Client, EngineBuilder, RunHandle};
use saga_test_server::{fresh_name, shared};
use saga_tests::{Act, StepError, World};
use serde::{Deserialize, Serialize};

/// Why money is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize, Classify)]
pub(crate) enum BankError {
    /// Planned by a test.
    #[error("declined")]
    #[permanent]
    Declined,
    /// Planned by a test.
    #[error("the answer was lost")]
    #[transient]
    Lost,
    /// A statement failed.
    #[error("sql: {0}")]
    #[transient(no_effect)]
    Sql(String),
}

impl From<StepError> for BankError {
    fn from(error: StepError) -> Self {
        match error {
            StepError::Declined => Self::Declined,
            _ => Self::Lost,
        }
    }
}

impl From<tokio_postgres::Error> for BankError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Sql(error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_owned()))
    }
}

/// What a workflow of the bank fails with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub(crate) enum Failure {
    /// A step failed.
    #[error(transparent)]
    Step(#[from] ActivityError<BankError>),
    /// The workflow's own decision.
    #[error("the workflow gives up")]
    GivesUp,
}

/// Takes money, then does what the test has planned for `debit`.
#[activity(transaction, timeout = "20s", retry(initial = "1ms", max = "2ms"), compensate = credit(table, cents))]
pub(crate) async fn debit(
    #[transaction] tx: &mut PostgresTx<'_>,
    #[state] world: &World,
    #[context] cx: &ActivityContext,
    table: String,
    cents: i64,
) -> Result<i64, BankError> {
    let row = tx.query_one(&format!("UPDATE {table} SET cents = cents - $1 RETURNING cents"), &[&cents]).await?;
    world.attempt(cx, "debit").await?;
    Ok(row.get(0))
}

/// Gives it back.
#[activity(transaction, retry(initial = "1ms", max = "2ms"))]
pub(crate) async fn credit(
    #[transaction] tx: &mut PostgresTx<'_>,
    #[state] world: &World,
    #[context] cx: &ActivityContext,
    table: String,
    cents: i64,
) -> Result<(), BankError> {
    tx.execute(&format!("UPDATE {table} SET cents = cents + $1"), &[&cents]).await?;
    world.attempt(cx, "credit").await?;
    Ok(())
}

/// Takes money once.
#[workflow]
pub(crate) async fn pay(table: String, cents: i64) -> Result<i64, Failure> {
    Ok(debit(table, cents).await?)
}

/// A database with an account of a hundred cents.
pub(crate) struct Bank {
    pub(crate) schema: String,
    pub(crate) table: String,
    pub(crate) world: World,
    pub(crate) session: tokio_postgres::Client,
    /// For the activities that start runs.
    pub(crate) client: ClientOf,
}

/// A client of the activities' own store, once there is one.
#[derive(Clone, Default)]
pub(crate) struct ClientOf(pub(crate) Arc<OnceLock<Client>>);

impl Bank {
    pub(crate) async fn open() -> Self {
        let schema = fresh_name();
        let table = format!("{schema}_account");
        let session = session().await;
        let create = format!("CREATE TABLE {table} (cents bigint NOT NULL); INSERT INTO {table} VALUES (100)");
        session.batch_execute(&create).await.unwrap();
        Self { schema, table, world: World::default(), session, client: ClientOf::default() }
    }

    /// The store at this address, with one session for transactions: whoever leaves it dirty or
    /// keeps it is found out.
    pub(crate) async fn store_at(&self, url: &str) -> PostgresStore {
        let builder = PostgresStore::builder(url).schema(&self.schema).pool_size(3).transaction_sessions(1);
        builder.connect().await.unwrap()
    }

    pub(crate) async fn store(&self) -> PostgresStore {
        self.store_at(&shared().url()).await
    }

    pub(crate) async fn engine(&self) -> Engine {
        self.engine_with(&self.store().await, |builder| builder).await
    }

    pub(crate) async fn engine_with(
        &self,
        store: &PostgresStore,
        set_up: impl FnOnce(EngineBuilder) -> EngineBuilder,
    ) -> Engine {
        set_up(Engine::builder(store.clone()).state(self.world.clone()).state(self.client.clone()))
            .start()
            .await
            .unwrap()
    }

    pub(crate) async fn start(&self, engine: &Engine, id: &str) -> RunHandle<pay> {
        engine.client().start(pay(self.table.clone(), 30)).id(id).await.unwrap()
    }

    /// Two runs, after which the one session keeps the limits of the steps: forty cents are left.
    pub(crate) async fn settle(&self, engine: &Engine) {
        for (id, left) in [("P-00", 70), ("P-01", 40)] {
            assert_eq!(self.start(engine, id).await.result().await.unwrap(), left);
        }
    }

    /// Two runs, of which the first has the one session until `debit` is opened.
    pub(crate) async fn one_waits_for_the_other(&self, engine: &Engine) -> (RunHandle<pay>, RunHandle<pay>) {
        self.world.plan("debit", [Act::Wait]);
        let first = self.start(engine, "P-1").await;
        self.world.began("debit").await;
        let second = self.start(engine, "P-2").await;
        // It gets as far as to where it waits for the session: nothing on its way there is waited for.
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        (first, second)
    }

    pub(crate) async fn cents(&self) -> i64 {
        self.session.query_one(&format!("SELECT cents FROM {}", self.table), &[]).await.unwrap().get(0)
    }

    /// How many rows a run's journal has.
    pub(crate) async fn rows(&self, id: &str) -> i64 {
        let sql = format!(
            "SELECT count(*) FROM {0}.journal j JOIN {0}.runs r USING (execution) WHERE r.id = $1",
            self.schema
        );
        self.session.query_one(&sql, &[&id]).await.unwrap().get(0)
    }

    /// Waits until no session has an open transaction that has written to the account.
    pub(crate) async fn until_free(&self) {
        let sql = format!("BEGIN; LOCK TABLE {} IN ACCESS EXCLUSIVE MODE; COMMIT", self.table);
        self.session.batch_execute(&sql).await.unwrap();
    }
}

/// A session of the test's own.
pub(crate) async fn session() -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(&shared().url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}
