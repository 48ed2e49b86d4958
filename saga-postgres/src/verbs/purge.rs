//! Deletes executions that ended long ago.

use std::sync::atomic::Ordering;

use saga_store::{ExecutionId, Purged, RunState, Timestamp};
use tokio_postgres::types::ToSql;

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
        let from = db.purged.load(Ordering::Relaxed);
        let values: [&(dyn ToSql + Sync); 5] = [&before.as_micros(), &dead, &number(batch), &journal, &from];
        let rows = db.query(For::Clients, sql::PURGE, &values).await?;
        let answer = rows.first().map(|row| (row.get::<_, i64>(0), row.get(1), row.get::<_, i64>(2), row.get(3)));
        let (runs, more, hidden, last): (_, _, _, Option<i64>) = answer.unwrap_or_default();
        // The pass goes on where this part left off; the next one begins anew.
        let from = if more { last.unwrap_or(from) } else { i64::MIN };
        db.purged.store(from, Ordering::Relaxed);
        if hidden > 0 {
            tracing::warn!(
                sessions = hidden,
                "what other roles' sessions do is hidden, and a commit may be under way: no run is deleted; grant this role pg_read_all_stats"
            );
        }
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
