//! An engine over a private server, and a session beside it.

use std::sync::Arc;

use saga_postgres::{Migrate, PostgresStore};
use saga_runtime::prelude::*;
use saga_test_server::TestServer;
use saga_tests::World;
use saga_tests::steps::{SagaError, step};
use tokio_postgres::{Client, NoTls};

/// Two steps; a test holds the first one until it has done its worst.
#[workflow]
pub(crate) async fn two_steps() -> Result<String, SagaError> {
    step("one".to_owned()).await?;
    Ok(step("two".to_owned()).await?)
}

/// A server with a user of its own for the engine.
pub(crate) struct Shop {
    pub(crate) server: Arc<TestServer>,
    pub(crate) world: World,
    pub(crate) operator: Client,
}

pub(crate) async fn session(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

impl Shop {
    /// With the tables made by the operator, and the user allowed to work with them.
    pub(crate) async fn open() -> Self {
        let server = Arc::new(TestServer::start_private(""));
        let operator = session(&server.url()).await;
        drop(PostgresStore::connect(&server.url()).await.unwrap());
        let allow = "CREATE ROLE app LOGIN; GRANT USAGE ON SCHEMA saga TO app;
            GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA saga TO app";
        operator.batch_execute(allow).await.unwrap();
        Self { server, world: World::default(), operator }
    }

    pub(crate) async fn engine(&self) -> Engine {
        let builder = PostgresStore::builder(&self.server.url_by("app", "")).migrate(Migrate::Verify);
        let store = builder.connect().await.unwrap();
        Engine::builder(store).state(self.world.clone()).start().await.unwrap()
    }

    pub(crate) async fn operate(&self, sql: &str) {
        self.operator.batch_execute(sql).await.unwrap();
    }

    /// Waits until the server has logged this so many times.
    pub(crate) async fn logs(&self, text: &'static str, times: usize) {
        let server = Arc::clone(&self.server);
        let told = move || server.log().matches(text).count() >= times;
        tokio::task::spawn_blocking(move || saga_tests::until(text, told)).await.unwrap();
    }

    /// A run between its steps, then what is done to the server, until it has told so; then what
    /// mends it. The run ends as it should, with each step made once.
    pub(crate) async fn outlasts(&self, damage: &str, told: (&'static str, usize), repair: &str) {
        self.world.plan("one", [saga_tests::Act::Wait]);
        let engine = self.engine().await;
        let run = engine.client().start(two_steps()).id("ORD-1").await.unwrap();
        self.world.began("one").await;
        self.operate(damage).await;
        self.world.open("one");
        self.logs(told.0, told.1).await;
        self.operate(repair).await;
        assert_eq!(run.result().await.unwrap(), "two!");
        assert_eq!(self.world.log(), ["one", "two"]);
        engine.shutdown().await;
    }
}
