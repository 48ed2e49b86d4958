//! How a file is opened.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// When a commit counts as durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Synchronous {
    /// Every commit is on the disk before it is acknowledged. What is acknowledged survives a
    /// power cut.
    #[default]
    Full,
    /// Commits survive a crash of the process; a power cut can lose the last ones. For runs
    /// whose effects outside must not be repeated this is not enough.
    Normal,
}

impl Synchronous {
    pub(crate) fn as_pragma(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Normal => "NORMAL",
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) synchronous: Synchronous,
    pub(crate) busy_timeout: Duration,
    pub(crate) transaction_limit: Duration,
    pub(crate) readers: usize,
}

/// Options for a file that is about to be opened.
#[derive(Debug, Clone)]
#[must_use = "nothing is opened before `open` or `open_db`"]
pub struct SqliteBuilder {
    pub(crate) path: PathBuf,
    pub(crate) options: Options,
}

impl SqliteBuilder {
    pub(crate) fn new(path: impl AsRef<Path>) -> Self {
        let options = Options {
            synchronous: Synchronous::Full,
            busy_timeout: Duration::from_secs(5),
            transaction_limit: Duration::from_secs(1),
            readers: 2,
        };
        Self { path: path.as_ref().to_owned(), options }
    }

    /// When a commit counts as durable; [`Synchronous::Full`] unless told otherwise.
    pub fn synchronous(mut self, synchronous: Synchronous) -> Self {
        self.options.synchronous = synchronous;
        self
    }

    /// How long to wait while another process holds the file's write lock; 5 s unless told
    /// otherwise. After it the call fails as unavailable, and can be sent again.
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.options.busy_timeout = timeout;
        self
    }

    /// How long a transactional activity, or a closure of [`SqliteDb::write`](crate::SqliteDb::write), may run; 1 s
    /// unless told otherwise. Every commit of the process waits for it. Statements that run
    /// longer fail with `interrupted`; time spent outside of statements is not noticed.
    pub fn transaction_limit(mut self, limit: Duration) -> Self {
        self.options.transaction_limit = limit;
        self
    }

    /// How many threads read beside the writer; 2 unless told otherwise, at least 1.
    pub fn readers(mut self, readers: usize) -> Self {
        self.options.readers = readers.max(1);
        self
    }
}
