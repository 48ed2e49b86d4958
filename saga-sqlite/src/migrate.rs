//! Whose file it is, and which schema it has.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};
use saga_store::{ErrorKind, StoreError};

use crate::error::open_error;

/// A schema, as the steps that lead to it.
#[derive(Debug)]
pub(crate) struct Schema {
    /// What `PRAGMA application_id` says of a file with this schema.
    pub(crate) application_id: i32,
    /// Step *n* leads from version *n* to *n* + 1 (`PRAGMA user_version`).
    pub(crate) steps: &'static [&'static str],
}

/// The store's own: `SAGA` in ASCII.
pub(crate) const STORE: Schema =
    Schema { application_id: 0x5341_4741, steps: &[include_str!("../migrations/0001_runs.sql")] };

impl Schema {
    fn version(&self) -> i64 {
        i64::try_from(self.steps.len()).unwrap_or(i64::MAX)
    }

    /// Refuses files that this build must not touch. Writes nothing.
    pub(crate) fn check(&self, conn: &Connection, path: &Path) -> Result<(), StoreError> {
        self.missing(conn, path).map(drop)
    }

    /// Brings the file to this schema. Safe when several processes open it at once.
    pub(crate) fn migrate(&self, conn: &mut Connection, path: &Path) -> Result<(), StoreError> {
        let failed = |error| open_error(error, path);
        if self.missing(conn, path)?.is_empty() {
            return Ok(());
        }
        let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        // Another process may have been faster.
        for step in self.missing(&transaction, path)? {
            transaction.execute_batch(step).map_err(failed)?;
        }
        transaction.pragma_update(None, "application_id", self.application_id).map_err(failed)?;
        transaction.pragma_update(None, "user_version", self.version()).map_err(failed)?;
        transaction.commit().map_err(failed)
    }

    fn missing(&self, conn: &Connection, path: &Path) -> Result<&[&'static str], StoreError> {
        let number = |pragma: &str| conn.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
        let file = path.display();
        let refuse = |message| Err(StoreError::new(ErrorKind::Incompatible, message));
        // In this order: both are set in one transaction, which may come in between. A file that has an owner
        // and, as it seems, no version is looked at again before anything is written.
        let (version, owner) = number("user_version")
            .and_then(|version| Ok((version, number("application_id")?)))
            .map_err(|error| open_error(error, path))?;
        if owner != 0 && owner != i64::from(self.application_id) {
            return refuse(format!("{file} belongs to another program (application_id {owner:#x}); name another file"));
        }
        if owner == 0 && version != 0 {
            return refuse(format!(
                "{file} belongs to another program (its user_version is {version} and it has no application_id); \
                 name another file"
            ));
        }
        match usize::try_from(version).ok().and_then(|done| self.steps.get(done..)) {
            Some(missing) => Ok(missing),
            None => refuse(format!(
                "{file} has schema {version}, and this build knows schemas up to {}: it was written by a newer \
                 saga-sqlite; update this program",
                self.version()
            )),
        }
    }
}
