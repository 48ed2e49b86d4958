//! A server for the tests: the one that `SAGA_TEST_POSTGRES_URL` names, or a private one in a
//! temporary folder that goes with the process.

#![allow(dead_code, reason = "each test file uses a part of it")]

mod server;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use saga_postgres::PostgresStore;
use saga_store::conformance::lab::Lab;

pub(crate) use server::TestServer;

/// The server of all tests of this process.
pub(crate) fn server() -> &'static TestServer {
    static SERVER: OnceLock<TestServer> = OnceLock::new();
    SERVER.get_or_init(TestServer::start)
}

/// A name that no other test has, in this process or another.
pub(crate) fn fresh_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A store in a schema of its own.
pub(crate) async fn fresh() -> PostgresStore {
    open(&fresh_name()).await
}

/// A store in this schema.
pub(crate) async fn open(schema: &str) -> PostgresStore {
    let builder = PostgresStore::builder(&server().url()).schema(schema).pool_size(4);
    builder.connect().await.expect("a store can be opened")
}

/// A lab around a store in a schema of its own, and the schema's name.
pub(crate) async fn lab() -> (String, Lab<PostgresStore>) {
    let schema = fresh_name();
    let lab = Lab::new(open(&schema).await);
    (schema, lab)
}

/// A session of the test's own.
pub(crate) async fn session() -> tokio_postgres::Client {
    let (client, connection) =
        tokio_postgres::connect(&server().url(), tokio_postgres::NoTls).await.expect("a session can be opened");
    tokio::spawn(connection);
    client
}
