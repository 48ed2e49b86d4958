//! What can go wrong in a store, sorted by what to do about it.

use std::error::Error;
use std::fmt;

/// What to do about a [`StoreError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The store cannot be reached or is busy, full, starting or stopping. The call may or may
    /// not have been applied; send it again unchanged, with backoff, for ever.
    Unavailable,
    /// The store has more work than it takes now; nothing was applied. Try again later.
    Overloaded,
    /// Another engine holds this store, or this worker is no longer one of its members.
    Locked,
    /// The store is not what this build can use: a newer schema, a file that is not a database.
    Incompatible,
    /// The caller's or the configuration's mistake: a missing folder, no rights, a bad address.
    Invalid,
    /// A defect in this program. Report it.
    Bug,
}

/// An error of a store, with what was being done and what to do now.
#[derive(Debug)]
pub struct StoreError {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl StoreError {
    /// An error of this kind; `message` says what went wrong, where, and what to do.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// The same with the error that caused it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What to do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the same call, unchanged, may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, ErrorKind::Unavailable | ErrorKind::Overloaded)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|e| e as &(dyn Error + 'static))
    }
}
