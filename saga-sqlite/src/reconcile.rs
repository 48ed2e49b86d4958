//! What a worker or a client thinks, held against the file.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Result};
use saga_store::{ClaimedRun, Differences, ExecutionId, Incarnation};

use crate::read::{run_id, state};

const OWNED: &str = "SELECT r.execution, l.inbox_last > l.inbox_seen, l.run
    FROM saga_live l JOIN saga_runs r ON r.run = l.run WHERE l.owner = ?1 ORDER BY l.run";
const GIVEN: &str = "SELECT r.id, r.execution, r.workflow, r.version, l.unreleased, l.deaths
    FROM saga_runs r JOIN saga_live l ON l.run = r.run WHERE r.run = ?1";
const STATE: &str = "SELECT state FROM saga_runs WHERE execution = ?1";

/// Compares what a worker owns with what it drives.
pub(crate) fn reconcile(
    conn: &Connection,
    owner: Incarnation,
    driven: &BTreeSet<ExecutionId>,
    max: usize,
) -> Result<Differences> {
    let mut found = Differences::default();
    let mut lost = driven.clone();
    let mut statement = conn.prepare_cached(OWNED)?;
    let mut rows = statement.query([owner.as_bytes()])?;
    while let Some(row) = rows.next()? {
        let execution = ExecutionId::from_bytes(row.get(0)?);
        if lost.remove(&execution) {
            if row.get(1)? {
                found.unread.push(execution);
            }
        } else if found.undriven.len() < max {
            found.undriven.push(given(conn, row.get(2)?)?);
        }
    }
    found.lost = lost.into_iter().collect();
    Ok(found)
}

fn given(conn: &Connection, run: i64) -> Result<ClaimedRun> {
    conn.prepare_cached(GIVEN)?.query_row([run], |row| {
        Ok(ClaimedRun {
            id: run_id(row, 0)?,
            execution: ExecutionId::from_bytes(row.get(1)?),
            workflow: row.get(2)?,
            version: row.get(3)?,
            taken_over: row.get(4)?,
            deaths: row.get(5)?,
        })
    })
}

/// Those that have ended, or are not there.
pub(crate) fn ended(conn: &Connection, mut executions: Vec<ExecutionId>) -> Result<Vec<ExecutionId>> {
    let mut statement = conn.prepare_cached(STATE)?;
    let mut failed = None;
    executions.retain(|execution| {
        let found = statement.query_row([execution.as_bytes()], |row| row.get(0)).optional();
        found.map_or_else(
            |error| {
                failed = Some(error);
                true
            },
            |code| code.is_none_or(|code| state(code).is_final()),
        )
    });
    failed.map_or(Ok(executions), Err)
}
