//! How a store is opened.

use std::time::Duration;

use crate::sql;

/// What to do about the store's tables when it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Migrate {
    /// Create them, or bring them up to date. Safe when many workers start at once.
    #[default]
    Run,
    /// Only look whether they are as this build needs them. For users without the right to
    /// create tables; see [`migration_sql`](crate::migration_sql), and
    /// [`PostgresBuilder::pending_migration`].
    Verify,
}

#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) schema: String,
    pub(crate) pool_size: usize,
    pub(crate) transaction_sessions: usize,
    pub(crate) migrate: Migrate,
    pub(crate) wait: Duration,
}

/// Options for a store that is about to be opened.
#[derive(Clone)]
#[must_use = "nothing is opened before `connect`"]
pub struct PostgresBuilder {
    pub(crate) url: String,
    pub(crate) options: Options,
}

impl PostgresBuilder {
    pub(crate) fn new(url: &str) -> Self {
        let options = Options {
            schema: "saga".to_owned(),
            pool_size: 8,
            transaction_sessions: 8,
            migrate: Migrate::Run,
            wait: Duration::from_secs(10),
        };
        Self { url: url.to_owned(), options }
    }

    /// The schema that the tables are in; `saga` unless told otherwise. Stores in two schemas of
    /// one database know nothing of each other.
    pub fn schema(mut self, name: impl Into<String>) -> Self {
        self.options.schema = name.into();
        self
    }

    /// At most so many sessions, at least 2; 8 unless told otherwise. Half of them are the
    /// engine's own. One more is for hints, and one for the heart of a worker.
    pub fn pool_size(mut self, size: usize) -> Self {
        self.options.pool_size = size.max(2);
        self
    }

    /// At most so many transactions of steps, and of [`PostgresStore::begin`](crate::PostgresStore::begin),
    /// are open at once, each in a session of its own; at least 1, and 8 unless told otherwise.
    /// More steps wait for their turn. The sessions are opened when they are needed first.
    pub fn transaction_sessions(mut self, sessions: usize) -> Self {
        self.options.transaction_sessions = sessions.max(1);
        self
    }

    /// What to do about the tables; [`Migrate::Run`] unless told otherwise.
    pub fn migrate(mut self, migrate: Migrate) -> Self {
        self.options.migrate = migrate;
        self
    }

    /// How long a call waits for a session, and for the server to take a new one; 10 s unless
    /// told otherwise.
    pub fn session_timeout(mut self, wait: Duration) -> Self {
        self.options.wait = wait;
        self
    }
}

impl std::fmt::Debug for PostgresBuilder {
    /// Without the URL, which may have a password in it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresBuilder").field("options", &self.options).finish_non_exhaustive()
    }
}

/// What a session is set to (`SESSION`, the first) and the statements that a store sends, by the
/// names of the documentation: for whoever wants to look at their plans.
pub fn statements(schema: &str) -> Vec<(&'static str, String)> {
    let texts = sql::Texts::new(schema);
    let session = std::iter::once(("SESSION", sql::SESSION.to_owned()));
    let lists = sql::list::examples(schema);
    session.chain(sql::all().map(|sql| (sql.name, texts.of(sql).to_owned()))).chain(lists).collect()
}
