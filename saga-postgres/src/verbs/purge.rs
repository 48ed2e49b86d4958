//! Deletes executions that ended long ago.

use saga_store::{ExecutionId, Purged, RunState, Timestamp};

use uuid::Uuid;

use super::number;
use crate::db::{Db, For};
use crate::error::Abort;
use crate::sql;

/// How many executions go in one transaction, so that its locks are held for a moment only.
const BATCH: usize = 500;

/// Deletes up to `budget` executions with all that is theirs.
pub(crate) async fn purge(db: &Db, before: Timestamp, budget: usize) -> Result<Purged, Abort> {
    let mut purged = Purged { runs: 0, more: true };
    let mut left = budget;
    let journal = format!("{}.journal", sql::quote(&db.schema));
    while left > 0 && purged.more {
        let batch = left.min(BATCH);
        let dead = i16::from(RunState::Dead.code());
        let rows = db.query(For::Clients, sql::PURGE, &[&before.as_micros(), &dead, &number(batch), &journal]).await?;
        let (runs, more) = rows.first().map_or((0, false), |row| (row.get::<_, i64>(0), row.get(1)));
        purged = Purged { runs: purged.runs + runs.cast_unsigned(), more };
        left -= batch;
    }
    Ok(purged)
}

/// Deletes these executions, as far as they have ended; gives those that are gone.
pub(crate) async fn purge_these(db: &Db, executions: &[ExecutionId]) -> Result<Vec<ExecutionId>, Abort> {
    let journal = format!("{}.journal", sql::quote(&db.schema));
    let mut gone = Vec::with_capacity(executions.len());
    for batch in executions.chunks(BATCH) {
        let ids: Vec<Uuid> = batch.iter().map(|execution| *execution.as_uuid()).collect();
        let rows = db.query(For::Clients, sql::PURGE_THESE, &[&ids, &journal]).await?;
        gone.extend(rows.iter().map(|row| ExecutionId::from_uuid(row.get(0))));
    }
    Ok(gone)
}
