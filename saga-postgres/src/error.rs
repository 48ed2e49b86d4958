//! The server's errors, sorted by what to do about them.

use std::error::Error as _;

use deadpool_postgres::PoolError;
use saga_store::{ErrorKind, StoreError};
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

/// Why a call was given up.
#[derive(Debug)]
pub(crate) enum Abort {
    /// A session failed, or a statement in it.
    Postgres(Error),
    /// The user lacks a right, and these are the ones that it lacks.
    Lacking(Error, String),
    /// Anything else, ready for the caller.
    Store(StoreError),
}

impl From<Error> for Abort {
    fn from(error: Error) -> Self {
        Self::Postgres(error)
    }
}

impl From<StoreError> for Abort {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<PoolError> for Abort {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => Self::Postgres(error),
            PoolError::Timeout(_) => Self::Store(unavailable(
                "all sessions with the database are busy, or none can be opened; the pool's size is an option of the store",
            )),
            other => Self::Store(unavailable(format!("no session with the database: {other}"))),
        }
    }
}

impl Abort {
    /// Whether the rows at hand are at fault and others are not.
    pub(crate) fn is_of_the_row(&self) -> bool {
        let Self::Postgres(error) = self else { return false };
        let Some(code) = error.code() else { return false };
        !self.is_a_race() && ["22", "23", "54"].iter().any(|class| code.code().starts_with(class))
    }

    /// Whether another session did the same at the same time: trying again finds what it did.
    pub(crate) fn is_a_race(&self) -> bool {
        self.is_taken(&["inbox_message"])
    }

    /// Whether a place in a journal was taken.
    pub(crate) fn is_taken_place(&self) -> bool {
        self.is_taken(&["journal_pkey"])
    }

    /// Whether a run's id, or its execution, was taken.
    pub(crate) fn is_taken_id(&self) -> bool {
        self.is_taken(&["runs_newest", "runs_pkey"])
    }

    fn is_taken(&self, keys: &[&str]) -> bool {
        let Self::Postgres(error) = self else { return false };
        error.as_db_error().is_some_and(|error| {
            *error.code() == SqlState::UNIQUE_VIOLATION && error.constraint().is_some_and(|key| keys.contains(&key))
        })
    }

    /// Whether a lock was waited for too long.
    pub(crate) fn is_lock_timeout(&self) -> bool {
        matches!(self, Self::Postgres(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE))
    }

    /// Whether two sessions waited for each other, and this one was chosen to give way.
    pub(crate) fn is_deadlock(&self) -> bool {
        matches!(self, Self::Postgres(error)
            if [Some(&SqlState::T_R_DEADLOCK_DETECTED), Some(&SqlState::T_R_SERIALIZATION_FAILURE)].contains(&error.code()))
    }

    /// Whether the session is of no use any more: the statements prepared in it are gone, or it
    /// takes no writes since its server became a replica. A new one finds what is right now.
    pub(crate) fn is_stale_session(&self) -> bool {
        let Self::Postgres(error) = self else { return false };
        [
            Some(&SqlState::INVALID_SQL_STATEMENT_NAME),
            Some(&SqlState::FEATURE_NOT_SUPPORTED),
            Some(&SqlState::READ_ONLY_SQL_TRANSACTION),
        ]
        .contains(&error.code())
    }

    /// Whether the user lacks a right.
    pub(crate) fn is_lack_of_rights(&self) -> bool {
        matches!(self, Self::Postgres(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE))
    }

    /// With the rights that the user lacks, if that is known.
    pub(crate) fn lacking(self, rights: Option<String>) -> Self {
        match (self, rights) {
            (Self::Postgres(error), Some(rights)) => Self::Lacking(error, rights),
            (abort, _) => abort,
        }
    }

    /// What is wrong, for people.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Postgres(error) | Self::Lacking(error, _) => describe(error),
            Self::Store(error) => error.to_string(),
        }
    }

    /// The error of a call on a store that has been opened. Whatever was right then and is not
    /// now may be right again, when the server is back or an operator has mended it.
    pub(crate) fn into_call_error(self, place: &str) -> StoreError {
        match self {
            Self::Store(error) => error,
            Self::Postgres(_) | Self::Lacking(..) => {
                let of_the_row = self.is_of_the_row();
                let error = self.into_open_error(place);
                match error.kind() {
                    ErrorKind::Invalid | ErrorKind::Incompatible if !of_the_row => {
                        unavailable(error.to_string()).with_source(error)
                    }
                    _ => error,
                }
            }
        }
    }

    /// The error of opening a store.
    pub(crate) fn into_open_error(self, place: &str) -> StoreError {
        match self {
            Self::Store(error) => error,
            Self::Postgres(error) => {
                let (kind, message) = sort(&error, place);
                StoreError::new(kind, message).with_source(error)
            }
            Self::Lacking(error, rights) => {
                let what = describe(&error);
                let message = format!("rights are missing at {place} ({what}); to be granted are {rights}");
                StoreError::new(ErrorKind::Invalid, message).with_source(error)
            }
        }
    }
}

pub(crate) fn unavailable(message: impl Into<String>) -> StoreError {
    StoreError::new(ErrorKind::Unavailable, message)
}

/// What the server, or the way to it, says. Never a password: neither has it.
pub(crate) fn describe(error: &Error) -> String {
    if let Some(error) = error.as_db_error() {
        let mut text = error.message().to_owned();
        for more in [error.detail(), error.hint()].into_iter().flatten() {
            text.push_str(": ");
            text.push_str(more);
        }
        return text;
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}

/// What to do about an error, and what to tell. `place` is the database, as in
/// `app@db.example:5432/shop`.
fn sort(error: &Error, place: &str) -> (ErrorKind, String) {
    let what = describe(error);
    let Some(code) = error.code() else {
        if what.contains("password missing") {
            let hint = "put it into the URL, PGPASSWORD, or a password file (PGPASSFILE, ~/.pgpass)";
            return (ErrorKind::Invalid, format!("{place} asks for a password, and none is given: {hint}"));
        }
        if what.contains("does not allow writes") || what.contains("database does not accept") {
            return (ErrorKind::Unavailable, read_only(place));
        }
        if what.contains("does not support TLS") || what.contains("TLS was not") {
            let hint = "do without (sslmode=disable), or set the server up for it (ssl = on)";
            return (ErrorKind::Invalid, format!("{place} does not encrypt sessions, and sslmode asks for it; {hint}"));
        }
        if what.contains("CertificateRequired") {
            let hint = "name a certificate and its key in sslcert and sslkey";
            return (ErrorKind::Invalid, format!("{place} asks for a certificate of this side; {hint}"));
        }
        if what.contains("certificate") {
            let hint = "name the root certificates in sslrootcert, or do without TLS (sslmode=disable)";
            return (ErrorKind::Invalid, format!("the certificate of {place} cannot be verified: {what}; {hint}"));
        }
        if what.contains("serializing") {
            return (ErrorKind::Bug, format!("a statement's values are not of its types: {what}"));
        }
        return (ErrorKind::Unavailable, format!("no session with {place}: {what}"));
    };
    match *code {
        SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => (
            ErrorKind::Invalid,
            format!("{place} does not let this user in: {what}; check user and password, and the server's pg_hba.conf"),
        ),
        SqlState::INVALID_CATALOG_NAME => {
            let database = place.rsplit_once('/').map_or(place, |(_, database)| database);
            let create = format!("createdb {database}, or CREATE DATABASE {}", crate::sql::quote(database));
            (ErrorKind::Invalid, format!("there is no database at {place} ({what}); create it first: {create}"))
        }
        SqlState::INSUFFICIENT_PRIVILEGE => (
            ErrorKind::Invalid,
            format!(
                "a right is missing at {place}: {what}; the user needs CREATE on the database (or a schema of its own) \
                 to migrate, and USAGE on the schema with SELECT, INSERT, UPDATE, DELETE on its tables to work"
            ),
        ),
        SqlState::READ_ONLY_SQL_TRANSACTION => (ErrorKind::Unavailable, read_only(place)),
        SqlState::UNDEFINED_TABLE
        | SqlState::INVALID_SCHEMA_NAME
        | SqlState::UNDEFINED_COLUMN
        | SqlState::UNDEFINED_OBJECT => (
            ErrorKind::Incompatible,
            format!("the store's tables at {place} are not there or not as they should be: {what}"),
        ),
        SqlState::TOO_MANY_CONNECTIONS => (
            ErrorKind::Unavailable,
            format!("{place} takes no more connections ({what}); raise max_connections, or lower the pools' sizes"),
        ),
        SqlState::DISK_FULL => {
            (ErrorKind::Unavailable, format!("the disk of {place} is full ({what}); it goes on when there is room"))
        }
        SqlState::QUERY_CANCELED => {
            (ErrorKind::Unavailable, format!("a statement took too long at {place}: {what} (statement_timeout)"))
        }
        SqlState::LOCK_NOT_AVAILABLE => {
            (ErrorKind::Unavailable, format!("a row at {place} is held by another transaction for long: {what}"))
        }
        _ => by_class(code.code(), &what, place),
    }
}

fn by_class(code: &str, what: &str, place: &str) -> (ErrorKind, String) {
    match &code[..2] {
        "08" | "25" | "26" | "0A" | "40" | "53" | "55" | "57" | "58" | "XX" => {
            (ErrorKind::Unavailable, format!("{place} cannot be used now: {what} ({code})"))
        }
        "22" | "23" | "54" => (ErrorKind::Invalid, format!("{place} refused a value: {what} ({code})")),
        "28" => (ErrorKind::Invalid, format!("{place} does not let this user in: {what} ({code})")),
        _ => (ErrorKind::Bug, format!("a statement failed at {place}: {what} ({code})")),
    }
}

fn read_only(place: &str) -> String {
    format!(
        "{place} is a read-only replica; name the primary, or all servers of the cluster (postgres://a,b/shop), \
         of which the one that takes writes is chosen"
    )
}
