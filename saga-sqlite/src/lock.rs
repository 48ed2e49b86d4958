//! One engine a file: an operating system's lock on a file beside the database.
//!
//! The system drops the lock with the process that holds it, so that holding it proves every
//! predecessor dead.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use saga_store::{ErrorKind, StoreError};

/// A held lock.
#[derive(Debug)]
pub(crate) struct EngineLock(#[expect(dead_code, reason = "it is held until it is dropped")] File);

/// The file that is locked: `<database>.lock`.
pub(crate) fn lock_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

impl EngineLock {
    /// Takes the lock, or says who has it. The file stays when the lock is released: to delete
    /// it would let two engines lock two files of that name.
    pub(crate) fn take(database: &Path) -> Result<Self, StoreError> {
        let path = lock_path(database);
        let invalid = |error: std::io::Error| {
            let message = format!("cannot lock {}: {error}; check the rights on it and its folder", path.display());
            StoreError::new(ErrorKind::Invalid, message).with_source(error)
        };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(invalid)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(error)) => return Err(invalid(error)),
            Err(TryLockError::WouldBlock) => return Err(held_by_another(database, &mut file)),
        }
        // For people only; nothing depends on it.
        let noted =
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
        if let Err(error) = noted {
            tracing::debug!(%error, "the lock file does not say who holds it");
        }
        Ok(Self(file))
    }
}

fn held_by_another(database: &Path, file: &mut File) -> StoreError {
    let mut holder = String::new();
    let holder = match file.read_to_string(&mut holder) {
        Ok(_) if !holder.trim().is_empty() => format!(" (process {})", holder.trim()),
        _ => String::new(),
    };
    StoreError::new(
        ErrorKind::Locked,
        format!(
            "another engine{holder} runs on {}: stop it first, give this one a file of its own, \
             or only use a client, which needs no lock",
            database.display()
        ),
    )
}
