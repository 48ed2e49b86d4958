//! The address of a store or a database: `sqlite://PATH`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where journals, or a program's own tables, are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreUrl {
    /// A `SQLite` file: `sqlite://PATH`.
    Sqlite(PathBuf),
}

impl StoreUrl {
    /// The address of a database of this name in the same place.
    #[must_use]
    pub fn beside(&self, name: &str) -> Self {
        match self {
            Self::Sqlite(path) => Self::Sqlite(path.with_file_name(name)),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        match self {
            Self::Sqlite(path) => path,
        }
    }

    /// Checks that the database exists: programs that only read shall create none.
    pub fn check_exists(&self, what: &str) -> Result<(), StoreUrlError> {
        if self.path().exists() {
            return Ok(());
        }
        Err(StoreUrlError(format!("there is no {what} at {self}; give its address, or begin with `run`")))
    }
}

impl FromStr for StoreUrl {
    type Err = StoreUrlError;

    fn from_str(text: &str) -> Result<Self, StoreUrlError> {
        const KNOWN: &str = "expected sqlite://PATH";
        match text.split_once("://") {
            Some(("sqlite", "")) => Err(StoreUrlError(format!("`{text}` names no file; {KNOWN}"))),
            Some(("sqlite", path)) => Ok(Self::Sqlite(PathBuf::from(path))),
            Some((scheme, _)) => Err(StoreUrlError(format!("unknown store scheme `{scheme}`; {KNOWN}"))),
            None => Err(StoreUrlError(format!("`{text}` has no scheme; {KNOWN}"))),
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
        }
    }
}

/// An address that leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StoreUrlError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sqlite_address_is_relative_or_absolute() {
        assert_eq!("sqlite://a/b.db".parse(), Ok(StoreUrl::Sqlite("a/b.db".into())));
        assert_eq!("sqlite:///a/b.db".parse(), Ok(StoreUrl::Sqlite("/a/b.db".into())));
    }

    #[test]
    fn a_neighbour_is_in_the_same_folder() {
        let store: StoreUrl = "sqlite://a/b.db".parse().unwrap();
        assert_eq!(store.beside("c.db").to_string(), "sqlite://a/c.db");
    }

    #[test]
    fn an_unknown_scheme_is_refused_with_the_known_ones() {
        let refused = |text: &str| text.parse::<StoreUrl>().unwrap_err().to_string();
        assert_eq!(refused("redis://x"), "unknown store scheme `redis`; expected sqlite://PATH");
        assert_eq!(refused("orders.db"), "`orders.db` has no scheme; expected sqlite://PATH");
        assert_eq!(refused("sqlite://"), "`sqlite://` names no file; expected sqlite://PATH");
    }
}
