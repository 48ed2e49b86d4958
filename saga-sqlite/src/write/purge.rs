//! Deletes executions that ended long ago.

use rusqlite::{Row, params};
use saga_store::{ExecutionId, Purged, RunState, Timestamp};

use super::Cx;
use crate::error::Abort;
use crate::sql;

/// How many executions go in one transaction, so that commits do not wait for long.
pub(crate) const BATCH: usize = 200;

/// Deletes up to `budget` executions with all that is theirs.
pub(crate) fn purge(cx: &mut Cx<'_, '_>, before: Timestamp, budget: usize) -> Result<Purged, Abort> {
    let session = cx.session;
    let limit = i64::try_from(budget).unwrap_or(i64::MAX).saturating_add(1);
    let values = params![before.as_micros(), limit, RunState::Dead.code()];
    let mut doomed: Vec<Doomed> = session.all(&sql::PURGEABLE, values, doomed_run)?;
    let more = doomed.len() > budget;
    doomed.truncate(budget);
    delete(cx, &doomed)?;
    Ok(Purged { runs: doomed.len() as u64, more })
}

/// Deletes these executions, as far as they have ended; gives those that are gone.
pub(crate) fn purge_these(cx: &mut Cx<'_, '_>, executions: &[ExecutionId]) -> Result<Vec<ExecutionId>, Abort> {
    let mut gone = Vec::with_capacity(executions.len());
    for execution in executions {
        let found = cx.session.first(&sql::PURGEABLE_EXECUTION, [execution.as_bytes()], doomed_run)?;
        if let Some(doomed) = found {
            delete(cx, &[doomed])?;
            gone.push(*execution);
        }
    }
    Ok(gone)
}

/// An execution by its number here, its run's id, whether it is the newest of it, and the execution.
type Doomed = (i64, String, bool, ExecutionId);

fn doomed_run(row: &Row<'_>) -> rusqlite::Result<Doomed> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, ExecutionId::from_bytes(row.get(3)?)))
}

fn delete(cx: &mut Cx<'_, '_>, doomed: &[Doomed]) -> Result<(), Abort> {
    let session = cx.session;
    for (run, id, newest, execution) in doomed {
        for sql in [
            &sql::PURGE_JOURNAL,
            &sql::PURGE_HEAD,
            &sql::PURGE_BLOBS,
            &sql::PURGE_INBOX,
            &sql::PURGE_ATTRIBUTES,
            &sql::PURGE_MARKS,
            &sql::PURGE_LIVE,
            &sql::PURGE_RUN,
        ] {
            session.run(sql, [run])?;
        }
        if *newest {
            session.run(&sql::PROMOTE, [id])?;
        }
        cx.memory.forget(*execution);
    }
    Ok(())
}

/// Gives some free pages back to the file system.
pub(crate) fn vacuum(cx: &mut Cx<'_, '_>) -> Result<(), Abort> {
    cx.session.all(&sql::VACUUM, [], |_| Ok(()))?;
    Ok(())
}
