//! Everything that changes nothing.

use std::collections::BTreeMap;

use bytes::Bytes;
use saga_store::{
    BlobId, ExecutionId, InboxMessage, Incarnation, JournalRow, LoadedRun, Message, MessageId, Nonce, RunId, RunState,
    RunView, Seq, Target, Timestamp,
};
use tokio_postgres::Row;
use uuid::Uuid;

use super::number;
use super::own::{run_id, version};
use crate::db::{Db, For};
use crate::error::Abort;
use crate::sql;

pub(crate) async fn get(db: &Db, id: &RunId) -> Result<Option<RunView>, Abort> {
    let rows = db.query(For::Clients, sql::GET, &[&id.as_str()]).await?;
    rows.first().map(view).transpose()
}

pub(crate) async fn get_execution(db: &Db, execution: ExecutionId) -> Result<Option<RunView>, Abort> {
    let rows = db.query(For::Clients, sql::VIEWS, &[&vec![*execution.as_uuid()]]).await?;
    rows.first().map(view).transpose()
}

/// Those that have ended, or are not there.
pub(crate) async fn ended(db: &Db, executions: &[ExecutionId]) -> Result<Vec<ExecutionId>, Abort> {
    let executions: Vec<Uuid> = executions.iter().map(|execution| *execution.as_uuid()).collect();
    let live = RunState::ALL.into_iter().filter(|state| !state.is_final());
    let live: Vec<i16> = live.map(|state| state.code().into()).collect();
    let rows = db.query(For::Clients, sql::ENDED, &[&executions, &live]).await?;
    Ok(rows.iter().map(|row| ExecutionId::from_uuid(row.get(0))).collect())
}

pub(crate) async fn load(db: &Db, executions: &[ExecutionId]) -> Result<Vec<LoadedRun>, Abort> {
    if executions.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = executions.iter().map(|execution| *execution.as_uuid()).collect();
    let calls: [(_, crate::db::Values<'_>); 3] =
        [(sql::VIEWS, &[&ids]), (sql::JOURNALS, &[&ids]), (sql::INBOXES, &[&ids, &0_i64])];
    let [views, journals, inboxes] = db.query_in_a_row(For::Engine, calls).await?;
    let mut runs: BTreeMap<ExecutionId, LoadedRun> = BTreeMap::new();
    for row in &views {
        let view = view(row)?;
        runs.insert(view.execution, LoadedRun { view, journal: Vec::new(), inbox: Vec::new() });
    }
    let execution = |row: &Row| ExecutionId::from_uuid(row.get(0));
    for row in &journals {
        if let Some(run) = runs.get_mut(&execution(row)) {
            run.journal.push(JournalRow {
                seq: Seq(row.get::<_, i64>(1).cast_unsigned()),
                nonce: Nonce(row.get::<_, i64>(2).cast_unsigned()),
                more: row.get(3),
                body: bytes(row, 4),
            });
        }
    }
    for row in &inboxes {
        if let Some(run) = runs.get_mut(&execution(row)) {
            run.inbox.push(inbox_message(row));
        }
    }
    Ok(executions.iter().filter_map(|execution| runs.remove(execution)).collect())
}

pub(crate) async fn inbox(db: &Db, execution: ExecutionId, after: u64) -> Result<Vec<InboxMessage>, Abort> {
    let values: crate::db::Values<'_> = &[&vec![*execution.as_uuid()], &number(after)];
    let rows = db.query(For::Engine, sql::INBOXES, values).await?;
    Ok(rows.iter().map(inbox_message).collect())
}

pub(crate) async fn outbox(db: &Db, owner: Incarnation, limit: usize) -> Result<Vec<(ExecutionId, Message)>, Abort> {
    let rows = db.query(For::Engine, sql::OUTBOX, &[owner.as_uuid(), &number(limit)]).await?;
    let mut messages = Vec::with_capacity(rows.len());
    for row in &rows {
        let to = match row.get::<_, Option<Uuid>>(3) {
            Some(execution) => Target::Execution(ExecutionId::from_uuid(execution)),
            None => Target::Run(run_id(row.get(2))?),
        };
        let message = Message { id: MessageId::from_uuid(row.get(1)), to, body: bytes(row, 4) };
        messages.push((ExecutionId::from_uuid(row.get(0)), message));
    }
    Ok(messages)
}

pub(crate) async fn blobs(db: &Db, execution: ExecutionId, ids: &[BlobId]) -> Result<Vec<(BlobId, Bytes)>, Abort> {
    let ids: Vec<Uuid> = ids.iter().map(|id| *id.as_uuid()).collect();
    let rows = db.query(For::Engine, sql::BLOBS, &[execution.as_uuid(), &ids]).await?;
    Ok(rows.iter().map(|row| (BlobId::from_uuid(row.get(0)), bytes(row, 1))).collect())
}

pub(crate) async fn next_wake(db: &Db) -> Result<Option<Timestamp>, Abort> {
    let rows = db.query(For::Engine, sql::NEXT_WAKE, &[]).await?;
    Ok(rows.first().map(|row| Timestamp::from_micros(row.get(0))))
}

/// The columns that `VIEW` names.
pub(crate) fn view(row: &Row) -> Result<RunView, Abort> {
    let attributes: Vec<String> = row.get(7);
    Ok(RunView {
        id: run_id(row.get(0))?,
        execution: ExecutionId::from_uuid(row.get(1)),
        workflow: row.get(2),
        version: version(row.get(3)),
        state: state(row.get(4)),
        created_at: Timestamp::from_micros(row.get(5)),
        updated_at: Timestamp::from_micros(row.get(6)),
        attributes: attributes.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect(),
        status: optional_bytes(row, 8),
        conclusion: optional_bytes(row, 9),
        memo: optional_bytes(row, 10),
        lane: row.get(11),
        priority: row.get(12),
    })
}

fn inbox_message(row: &Row) -> InboxMessage {
    InboxMessage {
        position: row.get::<_, i64>(1).cast_unsigned(),
        id: MessageId::from_uuid(row.get(2)),
        at: Timestamp::from_micros(row.get(3)),
        body: optional_bytes(row, 4).unwrap_or_default(),
    }
}

fn bytes(row: &Row, column: usize) -> Bytes {
    Bytes::copy_from_slice(row.get(column))
}

fn optional_bytes(row: &Row, column: usize) -> Option<Bytes> {
    row.get::<_, Option<&[u8]>>(column).map(Bytes::copy_from_slice)
}

/// A state that a newer build has written is one that this one cannot drive: it waits.
pub(crate) fn state(code: i16) -> RunState {
    u8::try_from(code).ok().and_then(RunState::from_code).unwrap_or(RunState::Suspended)
}
