//! Stores in schemas of their own, and sessions beside them.

#![allow(dead_code, unused_imports, reason = "each test file uses a part of it")]

use saga_postgres::PostgresStore;
use saga_store::ExecutionId;
use saga_store::conformance::lab::Lab;

pub(crate) use saga_test_server::{TestServer, fresh_name, shared as server};

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

/// A new role, which may have these attributes and nothing else, and the tests' address for it.
/// It has a password, so that it gets in wherever the tests do.
pub(crate) async fn role(attributes: &str) -> (String, String) {
    let role = fresh_name();
    session()
        .await
        .batch_execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 's3cret' {attributes}"))
        .await
        .expect("a role can be made");
    let url = server().url_by(&role, "s3cret");
    (role, url)
}

/// A lock that a session of the test's own holds, until it is released.
pub(crate) struct Hold {
    client: tokio_postgres::Client,
    watch: tokio_postgres::Client,
    pid: i32,
}

impl Hold {
    /// Takes the place of a run's record 1, which a commit waits for, and locks the run's row.
    pub(crate) async fn run(schema: &str, execution: ExecutionId) -> Self {
        let sql = format!(
            "SELECT FROM {schema}.live WHERE execution = '{execution}' FOR UPDATE;
             INSERT INTO {schema}.journal (execution, seq, nonce, more, body) VALUES ('{execution}', 1, 0, false, '')"
        );
        Self::sql(&sql).await
    }

    /// Whatever this statement locks.
    pub(crate) async fn sql(sql: &str) -> Self {
        let (client, watch) = (session().await, session().await);
        client.batch_execute(&format!("BEGIN; {sql}")).await.expect("a lock can be taken");
        let pid = client.query_one("SELECT pg_backend_pid()", &[]).await.expect("a session has a number").get(0);
        Self { client, watch, pid }
    }

    /// Takes another lock.
    pub(crate) async fn and(self, sql: &str) -> Self {
        self.client.batch_execute(sql).await.expect("a lock can be taken");
        self
    }

    /// Gives up the lock, and what the statement wrote.
    pub(crate) async fn release(self) {
        self.client.batch_execute("ROLLBACK").await.expect("a lock can be given up");
    }

    /// Ends the sessions that wait for the lock.
    pub(crate) async fn terminate_blocked(&self) {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))";
        self.watch.query(sql, &[&self.pid]).await.expect("sessions can be ended");
    }
}

/// Waits until a session waits for what is held.
pub(crate) async fn until_blocked(hold: &Hold) {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))";
    loop {
        let row = hold.watch.query_one(sql, &[&hold.pid]).await.expect("sessions can be watched");
        if row.get::<_, i64>(0) > 0 {
            break;
        }
        tokio::task::yield_now().await;
    }
}
