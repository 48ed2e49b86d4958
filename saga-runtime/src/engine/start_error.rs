//! Why an engine did not start.

use std::fmt;

use saga_store::StoreError;

/// Why an engine did not start.
#[derive(Debug)]
pub struct StartError(Cause);

#[derive(Debug)]
enum Cause {
    Setup(Vec<String>),
    Store(StoreError),
}

impl StartError {
    pub(super) fn setup(problems: Vec<String>) -> Self {
        Self(Cause::Setup(problems))
    }

    /// What does not fit together, one text each; empty if the store failed.
    pub fn problems(&self) -> &[String] {
        match &self.0 {
            Cause::Setup(problems) => problems,
            Cause::Store(_) => &[],
        }
    }

    /// The store's error, if it was that.
    pub fn store_error(&self) -> Option<&StoreError> {
        match &self.0 {
            Cause::Setup(_) => None,
            Cause::Store(error) => Some(error),
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Cause::Setup(problems) => write!(f, "the engine cannot start: {}", problems.join("; ")),
            Cause::Store(error) => write!(f, "the engine cannot join its store: {error}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0 {
            Cause::Setup(_) => None,
            Cause::Store(error) => std::error::Error::source(error),
        }
    }
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        Self(Cause::Store(error))
    }
}
