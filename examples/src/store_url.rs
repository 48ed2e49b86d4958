//! The address of a store or a database: `sqlite://PATH`, `postgres://USER@HOST/DATABASE`.

use std::ffi::OsStr;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::{TypedValueParser, ValueParserFactory};
use clap::error::ErrorKind;
use clap::{Arg, Command};
use saga_postgres::PostgresStore;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

const KNOWN: &str = "expected sqlite://PATH, postgres://USER@HOST/DATABASE or postgresql://USER@HOST/DATABASE";

/// Where journals, or a program's own tables, are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// A `SQLite` file: `sqlite://PATH`.
    Sqlite(PathBuf),
    /// A database of a `PostgreSQL` server: `postgres://USER@HOST/DATABASE`.
    Postgres(PostgresUrl),
}

impl StoreUrl {
    /// The address of a database of this name in the same place; on a server, where the tables of
    /// each program have a schema of their own, the same database.
    #[must_use]
    pub fn beside(&self, name: &str) -> Self {
        match self {
            Self::Sqlite(path) => Self::Sqlite(path.with_file_name(name)),
            Self::Postgres(url) => Self::Postgres(url.clone()),
        }
    }

    /// Checks that a file exists: programs that only read shall create none. A server answers for
    /// itself.
    pub fn check_exists(&self, what: &str) -> Result<(), StoreUrlError> {
        match self {
            Self::Sqlite(path) if !path.exists() => {
                Err(StoreUrlError(format!("there is no {what} at {self}; give its address, or begin with `run`")))
            }
            _ => Ok(()),
        }
    }
}

impl FromStr for StoreUrl {
    type Err = StoreUrlError;

    fn from_str(text: &str) -> Result<Self, StoreUrlError> {
        // What is refused is not repeated as a whole: it may have a password in it.
        match text.split_once("://") {
            Some(("sqlite", "")) => Err(StoreUrlError(format!("`{text}` names no file; {KNOWN}"))),
            Some(("sqlite", path)) => Ok(Self::Sqlite(PathBuf::from(path))),
            Some(("postgres" | "postgresql", _)) => PostgresUrl::parse(text).map(Self::Postgres),
            Some((scheme, _)) => Err(StoreUrlError(format!("unknown store scheme `{scheme}`; {KNOWN}"))),
            None => Err(StoreUrlError(format!("the address has no scheme; {KNOWN}"))),
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Self::Postgres(url) => url.fmt(f),
        }
    }
}

/// A URL as `libpq` takes it, which is printed without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    text: String,
    /// What is printed.
    place: String,
}

impl PostgresUrl {
    fn parse(text: &str) -> Result<Self, StoreUrlError> {
        let config = PostgresStore::config(text).map_err(|error| StoreUrlError(error.to_string()))?;
        Ok(Self { text: text.to_owned(), place: place(&config) })
    }

    /// The URL as it was given, to connect with and not to print.
    pub fn with_password(&self) -> &str {
        &self.text
    }
}

/// The parts of an address that tell people which database it is, `PG*` variables included.
fn place(config: &Config) -> String {
    let user = config.get_user().map(|user| format!("{user}@")).unwrap_or_default();
    let ports = config.get_ports();
    let host = |(index, host): (usize, &Host)| {
        let host = match host {
            Host::Tcp(name) => name.clone(),
            #[cfg(unix)]
            Host::Unix(path) => path.display().to_string(),
        };
        ports.get(index).or(ports.first()).map_or(host.clone(), |port| format!("{host}:{port}"))
    };
    let hosts: Vec<String> = config.get_hosts().iter().enumerate().map(host).collect();
    let (hosts, database) = (hosts.join(","), config.get_dbname().unwrap_or_default());
    if hosts.starts_with('/') {
        return format!("postgres://{user}/{database}?host={hosts}");
    }
    format!("postgres://{user}{hosts}/{database}")
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

/// An address that leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StoreUrlError(String);

/// Reads an address from the command line. Other than clap's own parser for what is `FromStr`,
/// it does not repeat a value that it refuses.
#[derive(Debug, Clone, Copy)]
pub struct StoreUrlParser;

impl TypedValueParser for StoreUrlParser {
    type Value = StoreUrl;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<StoreUrl, clap::Error> {
        let parsed = match value.to_str() {
            Some(text) => text.parse(),
            None => Err(StoreUrlError("the address is not UTF-8".to_owned())),
        };
        parsed.map_err(|StoreUrlError(why)| {
            let option = arg.map(|arg| format!("{arg}: ")).unwrap_or_default();
            clap::Error::raw(ErrorKind::ValueValidation, format!("{option}{why}\n")).with_cmd(command)
        })
    }
}

impl ValueParserFactory for StoreUrl {
    type Parser = StoreUrlParser;

    fn value_parser() -> StoreUrlParser {
        StoreUrlParser
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sqlite_address_is_relative_or_absolute() {
        assert_eq!("sqlite://a/b.db".parse(), Ok(StoreUrl::Sqlite("a/b.db".into())));
        assert_eq!("sqlite:///a/b.db".parse(), Ok(StoreUrl::Sqlite("/a/b.db".into())));
    }

    #[test]
    fn a_neighbour_is_in_the_same_folder_or_in_the_same_database() {
        let store: StoreUrl = "sqlite://a/b.db".parse().unwrap();
        assert_eq!(store.beside("c.db").to_string(), "sqlite://a/c.db");
        let store: StoreUrl = "postgres://app@db/shop".parse().unwrap();
        assert_eq!(store.beside("c.db"), store);
    }

    #[test]
    fn an_unknown_scheme_is_refused_with_the_known_ones() {
        let refused = |text: &str| text.parse::<StoreUrl>().unwrap_err().to_string();
        assert_eq!(refused("redis://x"), format!("unknown store scheme `redis`; {KNOWN}"));
        assert_eq!(refused("orders.db"), format!("the address has no scheme; {KNOWN}"));
        assert_eq!(refused("sqlite://"), format!("`sqlite://` names no file; {KNOWN}"));
        for scheme in ["sqlite://", "postgres://", "postgresql://"] {
            assert!(KNOWN.contains(scheme));
        }
    }

    #[test]
    fn an_address_of_a_server_is_told_without_its_password() {
        for (text, told) in [
            ("postgresql://db:6000/shop?user=app&password=s3cret", "postgres://app@db:6000/shop"),
            ("postgres://app:s3cret@/shop?host=/sockets", "postgres://app@/shop?host=/sockets"),
        ] {
            let url: StoreUrl = text.parse().unwrap();
            let StoreUrl::Postgres(postgres) = &url else { panic!("{url} is not a server's") };
            assert_eq!(postgres.with_password(), text);
            assert!(!format!("{url}{url:?}").contains("s3cret"), "{url:?}");
            assert_eq!(url.to_string(), told);
        }
        let error = "postgres://app:s3cret@a:port/shop".parse::<StoreUrl>().unwrap_err();
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}
