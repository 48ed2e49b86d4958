//! `SQLite`'s errors, sorted by what to do about them.

use std::path::Path;

use rusqlite::{Error, ErrorCode};
use saga_store::{ErrorKind, StoreError};

/// Why a transaction was given up before its end.
#[derive(Debug)]
pub(crate) enum Abort {
    /// The job has learned something (a step that must not run again) and wants to be run again.
    Again,
    /// `SQLite` failed.
    Sqlite(Error),
    /// The request itself is at fault.
    Refused(StoreError),
}

impl From<Error> for Abort {
    fn from(error: Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Abort {
    /// What the caller of the job is told.
    pub(crate) fn into_store_error(self, path: &Path) -> StoreError {
        match self {
            Self::Again => StoreError::new(ErrorKind::Bug, "a transaction was begun again and again without an end"),
            Self::Sqlite(error) => store_error(error, path),
            Self::Refused(error) => error,
        }
    }
}

/// The primary code, where the error came from `SQLite` itself.
pub(crate) fn code(error: &Error) -> Option<ErrorCode> {
    error.sqlite_error_code()
}

/// Whether the row at hand is at fault and its neighbours are not.
pub(crate) fn is_of_the_row(error: &Error) -> bool {
    match code(error) {
        Some(code) => {
            matches!(code, ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch)
        }
        None => matches!(error, Error::ToSqlConversionFailure(_) | Error::NulError(_)),
    }
}

/// Whether the store as a whole cannot work now, and may again later.
pub(crate) fn is_outage(error: &Error) -> bool {
    code(error).is_some_and(|code| {
        matches!(
            code,
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::OutOfMemory
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::OperationInterrupted
                | ErrorCode::OperationAborted
                | ErrorCode::SchemaChanged
        )
    })
}

/// The error of a call on an open store.
pub(crate) fn store_error(error: Error, path: &Path) -> StoreError {
    let file = path.display();
    let (kind, message) = match code(&error) {
        Some(ErrorCode::DiskFull) => {
            (ErrorKind::Unavailable, format!("no room to write to {file}; it goes on when there is"))
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            (ErrorKind::Unavailable, format!("{file} is busy: another process holds its write lock for long"))
        }
        _ if is_outage(&error) => (ErrorKind::Unavailable, format!("{file} cannot be used now: {error}")),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => (
            ErrorKind::Unavailable,
            format!("{file} cannot be written: {error}; check the rights on it and its folder"),
        ),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            (ErrorKind::Incompatible, format!("{file} is damaged: {error}; restore it from a backup"))
        }
        _ if is_of_the_row(&error) || error.sqlite_error().is_some() => {
            (ErrorKind::Invalid, format!("{file} refused a statement: {error}"))
        }
        _ => (ErrorKind::Bug, format!("a statement on {file} failed: {error}")),
    };
    StoreError::new(kind, message).with_source(error)
}

/// The error of opening a file.
pub(crate) fn open_error(error: Error, path: &Path) -> StoreError {
    let file = path.display();
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty())
        && !parent.is_dir()
    {
        let message = format!("cannot open {file}: the folder {} does not exist; create it first", parent.display());
        return StoreError::new(ErrorKind::Invalid, message).with_source(error);
    }
    if path.is_dir() {
        return StoreError::new(ErrorKind::Invalid, format!("cannot open {file}: it is a folder")).with_source(error);
    }
    match code(&error) {
        Some(ErrorCode::NotADatabase) => StoreError::new(
            ErrorKind::Incompatible,
            format!("{file} is not a database; name another file, or move this one away"),
        )
        .with_source(error),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            not_writable(path).with_source(error)
        }
        _ => store_error(error, path),
    }
}

/// The error of opening a file that may only be read.
pub(crate) fn not_writable(path: &Path) -> StoreError {
    let file = path.display();
    StoreError::new(
        ErrorKind::Invalid,
        format!("cannot write to {file}: check the rights on it and on its folder, where two more files go beside it"),
    )
}

/// The error of a call on a store whose threads have ended.
pub(crate) fn closed() -> StoreError {
    StoreError::new(ErrorKind::Unavailable, "the store has been closed")
}
