//! A test's own statements on a server that things befall.

use saga_postgres::PostgresStore;
use tokio_postgres::types::FromSqlOwned;
use tokio_postgres::{Client, Config, Error, NoTls, Row};

use crate::until;

/// A database, as a test looks at it: each statement in a session of its own, so that none is
/// hurt by what befell the server before.
#[derive(Debug)]
pub struct Database {
    url: String,
    config: Config,
    runtime: tokio::runtime::Runtime,
}

impl Database {
    /// The database at this address.
    ///
    /// # Panics
    ///
    /// If that is no address.
    pub fn at(url: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let config = PostgresStore::config(url).expect("an address");
        Self { url: url.to_owned(), config, runtime: runtime.expect("a runtime can be made") }
    }

    /// A new, empty database on the server at this address, which is that of its own maintenance
    /// database.
    ///
    /// # Panics
    ///
    /// If it cannot be made.
    pub fn create(server: &saga_test_server::TestServer) -> Self {
        let name = saga_test_server::fresh_name();
        Self::at(&server.url()).run(&format!("CREATE DATABASE {name}"));
        Self::at(&server.url_of(&name))
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether the server takes statements.
    pub fn answers(&self) -> bool {
        self.try_rows("SELECT 1").is_ok()
    }

    /// What a statement gives.
    pub fn try_rows(&self, sql: &str) -> Result<Vec<Row>, Error> {
        self.with(async |client| client.query(sql, &[]).await)
    }

    /// What a statement gives, as soon as the server gives it.
    ///
    /// # Panics
    ///
    /// If it gives nothing for minutes.
    pub fn rows(&self, sql: &str) -> Vec<Row> {
        let mut found = None;
        until(&format!("the server answers {sql}"), || {
            found = self.try_rows(sql).ok();
            found.is_some()
        });
        found.unwrap_or_default()
    }

    /// The one value that a statement gives, if the server takes it now and there is one.
    pub fn try_value<T: FromSqlOwned>(&self, sql: &str) -> Option<T> {
        self.try_rows(sql).ok()?.first()?.try_get(0).ok()
    }

    /// The one number that a statement gives.
    ///
    /// # Panics
    ///
    /// If it gives none.
    pub fn count(&self, sql: &str) -> i64 {
        self.rows(sql).first().map(|row| row.get(0)).expect("a count is one row")
    }

    /// Runs statements.
    ///
    /// # Panics
    ///
    /// If one of them fails.
    pub fn run(&self, sql: &str) {
        if let Err(error) = self.with(async |client| client.batch_execute(sql).await) {
            panic!("{sql}: {error:?}");
        }
    }

    /// Ends the sessions of all programs for which the condition holds, if the server is there;
    /// says how many it ended.
    pub fn terminate(&self, condition: &str) -> i64 {
        let sql = format!(
            "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity
             WHERE backend_type = 'client backend' AND datname = current_database() AND pid <> pg_backend_pid() AND ({condition})"
        );
        self.try_value(&sql).unwrap_or(0)
    }

    fn with<T>(&self, work: impl AsyncFnOnce(&Client) -> Result<T, Error>) -> Result<T, Error> {
        self.runtime.block_on(async {
            let (client, connection) = self.config.connect(NoTls).await?;
            let session = tokio::spawn(connection);
            let answer = work(&client).await;
            drop(client);
            // It ends with its client.
            drop(session.await);
            answer
        })
    }
}
