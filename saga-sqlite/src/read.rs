//! Everything that changes nothing.

use bytes::Bytes;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Result, Row, params, params_from_iter};
use saga_store::{
    BlobId, ExecutionId, InboxMessage, Incarnation, JournalRow, LoadedRun, Message, MessageId, Nonce, Page, Query,
    RunId, RunState, RunView, Seq, Target, Timestamp,
};

macro_rules! view_columns {
    () => {
        "SELECT r.run, r.id, r.execution, r.workflow, r.version, r.state, r.created_at, r.updated_at, r.status, \
         r.conclusion, r.memo, (SELECT l.lane FROM saga_live l WHERE l.run = r.run), \
         (SELECT l.priority FROM saga_live l WHERE l.run = r.run) FROM saga_runs r "
    };
}

const VIEW_OF_RUN: &str = concat!(view_columns!(), "WHERE r.id = ?1 AND r.newest = 1");
const VIEW_OF_EXECUTION: &str = concat!(view_columns!(), "WHERE r.execution = ?1");
const ATTRIBUTES: &str = "SELECT name, value FROM saga_attributes WHERE run = ?1 ORDER BY ordinal";
const HEAD: &str = "SELECT seq, row FROM saga_heads WHERE run = ?1";
const JOURNAL_ROW: &str = "SELECT seq, nonce, more, body, before FROM saga_journal WHERE row = ?1";
const INBOX: &str = "SELECT i.position, i.message, i.at, i.body
    FROM saga_runs r JOIN saga_live l ON l.run = r.run JOIN saga_inbox i ON i.run = r.run
    WHERE r.execution = ?1 AND i.position > max(?2, l.inbox_seen) ORDER BY i.position";
const BLOB: &str = "SELECT b.bytes FROM saga_runs r JOIN saga_blobs b ON b.run = r.run
    WHERE r.execution = ?1 AND b.blob = ?2";
const OUTBOX: &str = "SELECT o.owner, r.execution, o.message, o.to_run, o.to_execution, o.body
    FROM saga_outbox o JOIN saga_runs r ON r.run = o.run ORDER BY o.number";
const FIRST_ASLEEP: &str = "SELECT min(due_at) FROM saga_live WHERE ready = 0 AND due_at IS NOT NULL";
const LAST_START: &str = "SELECT max(created_at) FROM saga_runs";
const OWNERS: &str = "SELECT owner FROM saga_live WHERE owner IS NOT NULL UNION SELECT owner FROM saga_outbox";

pub(crate) fn get(conn: &Connection, id: &RunId) -> Result<Option<RunView>> {
    view_with(conn, VIEW_OF_RUN, id.as_str())
}

pub(crate) fn get_execution(conn: &Connection, execution: ExecutionId) -> Result<Option<RunView>> {
    view_with(conn, VIEW_OF_EXECUTION, execution.as_bytes())
}

pub(crate) fn load(conn: &Connection, executions: &[ExecutionId]) -> Result<Vec<LoadedRun>> {
    let mut loaded = Vec::with_capacity(executions.len());
    for execution in executions {
        let found = conn.prepare_cached(VIEW_OF_EXECUTION)?.query_row([execution.as_bytes()], view).optional()?;
        let Some((run, mut view)) = found else { continue };
        view.attributes = attributes(conn, run)?;
        loaded.push(LoadedRun { view, journal: journal(conn, run)?, inbox: inbox(conn, *execution, 0)? });
    }
    Ok(loaded)
}

pub(crate) fn inbox(conn: &Connection, execution: ExecutionId, after: u64) -> Result<Vec<InboxMessage>> {
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let read = |row: &Row<'_>| {
        Ok(InboxMessage {
            position: row.get::<_, i64>(0)?.cast_unsigned(),
            id: MessageId::from_bytes(row.get(1)?),
            at: Timestamp::from_micros(row.get(2)?),
            body: bytes(row, 3)?,
        })
    };
    conn.prepare_cached(INBOX)?.query_map(params![execution.as_bytes(), after], read)?.collect()
}

pub(crate) fn blobs(conn: &Connection, execution: ExecutionId, ids: &[BlobId]) -> Result<Vec<(BlobId, Bytes)>> {
    let mut statement = conn.prepare_cached(BLOB)?;
    let mut blobs = Vec::with_capacity(ids.len());
    for id in ids {
        let found =
            statement.query_row(params![execution.as_bytes(), id.as_bytes()], |row| bytes(row, 0)).optional()?;
        blobs.extend(found.map(|bytes| (*id, bytes)));
    }
    Ok(blobs)
}

/// The first messages whose sender is `mine`. (The outbox holds what is on its way, which is
/// little, and mostly this worker's.)
pub(crate) fn outbox(
    conn: &Connection,
    limit: usize,
    mine: impl Fn(Incarnation) -> bool,
) -> Result<Vec<(ExecutionId, Message)>> {
    let mut statement = conn.prepare_cached(OUTBOX)?;
    let mut rows = statement.query([])?;
    let mut messages = Vec::new();
    while messages.len() < limit
        && let Some(row) = rows.next()?
    {
        if !mine(Incarnation::from_bytes(row.get(0)?)) {
            continue;
        }
        let to = match row.get::<_, Option<[u8; 16]>>(4)? {
            Some(execution) => Target::Execution(ExecutionId::from_bytes(execution)),
            None => Target::Run(run_id(row, 3)?),
        };
        let message = Message { id: MessageId::from_bytes(row.get(2)?), to, body: bytes(row, 5)? };
        messages.push((ExecutionId::from_bytes(row.get(1)?), message));
    }
    Ok(messages)
}

pub(crate) fn next_wake(conn: &Connection) -> Result<Option<Timestamp>> {
    let due: Option<i64> = conn.prepare_cached(FIRST_ASLEEP)?.query_row([], |row| row.get(0))?;
    Ok(due.map(Timestamp::from_micros))
}

/// The latest time that the file knows.
pub(crate) fn last_start(conn: &Connection) -> Result<Timestamp> {
    let last: Option<i64> = conn.query_row(LAST_START, [], |row| row.get(0))?;
    Ok(Timestamp::from_micros(last.unwrap_or(0)))
}

/// Who owns runs, or has messages to send.
pub(crate) fn owners(conn: &Connection) -> Result<Vec<Incarnation>> {
    conn.prepare(OWNERS)?.query_map([], |row| row.get(0).map(Incarnation::from_bytes))?.collect()
}

pub(crate) fn list(conn: &Connection, query: &Query) -> Result<Page> {
    if query.limit == 0 {
        return Ok(Page::default());
    }
    let (sql, values) = list_sql(query);
    let mut found: Vec<(i64, RunView)> =
        conn.prepare_cached(&sql)?.query_map(params_from_iter(values), view)?.collect::<Result<_>>()?;
    let more = found.len() > query.limit;
    found.truncate(query.limit);
    let mut runs = Vec::with_capacity(found.len());
    for (run, view) in found {
        runs.push(RunView { attributes: attributes(conn, run)?, ..view });
    }
    let next = runs.last().filter(|_| more).map(|last| last.execution);
    Ok(Page { runs, next })
}

fn list_sql(query: &Query) -> (String, Vec<Value>) {
    let mut sql = String::from(concat!(view_columns!(), "WHERE 1"));
    let mut values = Vec::new();
    let mut and = |condition: &str, value: Value| {
        sql.push_str(" AND ");
        sql.push_str(condition);
        values.push(value);
    };
    if let Some(workflow) = &query.workflow {
        and("r.workflow = ?", Value::Text(workflow.clone()));
    }
    if let Some(after) = query.after {
        and("r.execution < ?", Value::Blob(after.as_bytes().to_vec()));
    }
    if let Some(from) = query.started_from {
        and("r.created_at >= ?", Value::Integer(from.as_micros()));
    }
    if let Some(before) = query.started_before {
        and("r.created_at < ?", Value::Integer(before.as_micros()));
    }
    if let Some(prefix) = &query.id_prefix {
        and("r.id >= ?", Value::Text(prefix.clone()));
        if let Some(end) = end_of_prefix(prefix) {
            and("r.id < ?", Value::Text(end));
        }
    }
    for (name, value) in &query.attributes {
        and("r.run IN (SELECT run FROM saga_attributes WHERE name = ?", Value::Text(name.clone()));
        and("value = ?)", Value::Text(value.clone()));
    }
    if !query.states.is_empty() {
        let places = vec!["?"; query.states.len()].join(", ");
        sql.push_str(" AND r.state IN (");
        sql.push_str(&places);
        sql.push(')');
        values.extend(query.states.iter().map(|state| Value::Integer(state.code().into())));
    }
    // Without statistics the planner would walk all executions in order and look for the few
    // that match; the plus keeps it from that where another index finds them.
    let selective = query.id_prefix.as_ref().is_some_and(|prefix| !prefix.is_empty())
        || !query.attributes.is_empty()
        || query.started_before.is_some();
    sql.push_str(if selective { " ORDER BY +r.execution DESC LIMIT ?" } else { " ORDER BY r.execution DESC LIMIT ?" });
    values.push(Value::Integer(i64::try_from(query.limit).unwrap_or(i64::MAX).saturating_add(1)));
    (sql, values)
}

/// The least text that is greater than all that begin so.
fn end_of_prefix(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        // From one to the next in the range is a step over the surrogates where need be.
        if let Some(next) = (last..=char::MAX).nth(1) {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

fn view_with(conn: &Connection, sql: &str, key: impl rusqlite::ToSql) -> Result<Option<RunView>> {
    let found = conn.prepare_cached(sql)?.query_row([key], view).optional()?;
    found.map(|(run, view)| Ok(RunView { attributes: attributes(conn, run)?, ..view })).transpose()
}

/// All but the attributes.
fn view(row: &Row<'_>) -> Result<(i64, RunView)> {
    let view = RunView {
        id: run_id(row, 1)?,
        execution: ExecutionId::from_bytes(row.get(2)?),
        workflow: row.get(3)?,
        version: row.get(4)?,
        state: state(row.get(5)?),
        created_at: Timestamp::from_micros(row.get(6)?),
        updated_at: Timestamp::from_micros(row.get(7)?),
        attributes: Vec::new(),
        status: optional_bytes(row, 8)?,
        conclusion: optional_bytes(row, 9)?,
        memo: optional_bytes(row, 10)?,
        lane: row.get(11)?,
        priority: row.get(12)?,
    };
    Ok((row.get(0)?, view))
}

fn attributes(conn: &Connection, run: i64) -> Result<Vec<(String, String)>> {
    conn.prepare_cached(ATTRIBUTES)?.query_map([run], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// Each row names the one before it.
fn journal(conn: &Connection, run: i64) -> Result<Vec<JournalRow>> {
    let read = |row: &Row<'_>| {
        let entry = JournalRow {
            seq: Seq(row.get::<_, i64>(0)?.cast_unsigned()),
            nonce: Nonce(row.get::<_, i64>(1)?.cast_unsigned()),
            more: row.get(2)?,
            body: bytes(row, 3)?,
        };
        Ok((entry, row.get(4)?))
    };
    let head = |row: &Row<'_>| Ok((row.get::<_, u32>(0)?, row.get(1)?));
    let (last, row) = conn.prepare_cached(HEAD)?.query_row([run], head)?;
    let mut journal = Vec::with_capacity(last as usize + 1);
    let mut statement = conn.prepare_cached(JOURNAL_ROW)?;
    let mut next: Option<i64> = Some(row);
    while let Some(row) = next {
        let (entry, before) = statement.query_row([row], read)?;
        journal.push(entry);
        next = before;
    }
    journal.reverse();
    Ok(journal)
}

fn bytes(row: &Row<'_>, column: usize) -> Result<Bytes> {
    Ok(Bytes::copy_from_slice(row.get_ref(column)?.as_blob()?))
}

fn optional_bytes(row: &Row<'_>, column: usize) -> Result<Option<Bytes>> {
    Ok(row.get_ref(column)?.as_blob_or_null()?.map(Bytes::copy_from_slice))
}

pub(crate) fn run_id(row: &Row<'_>, column: usize) -> Result<RunId> {
    RunId::new(row.get_ref(column)?.as_str()?).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
    })
}

/// A state that a newer build has written is one that this one cannot drive: it waits.
pub(crate) fn state(code: u8) -> RunState {
    RunState::from_code(code).unwrap_or(RunState::Suspended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_the_next_text_of_its_length() {
        assert_eq!(end_of_prefix("ORD-").as_deref(), Some("ORD."));
        assert_eq!(end_of_prefix("a\u{d7ff}").as_deref(), Some("a\u{e000}"));
        assert_eq!(end_of_prefix("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(end_of_prefix("\u{10ffff}"), None);
        assert_eq!(end_of_prefix(""), None);
    }
}
