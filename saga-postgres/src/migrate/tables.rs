//! What has to be in the schema: each table, column and index that statements rely on.
//!
//! A version in a table of its own says what somebody meant to do. A dump that was restored in
//! part, or a column that was dropped by hand, is found here, when a store is opened, and not by
//! the first run that needs it.

use std::collections::BTreeMap;

use deadpool_postgres::Object;
use saga_store::{ErrorKind, StoreError};

use super::VERSION;
use crate::db::Db;
use crate::error::Abort;
use crate::sql::quote;

/// The columns of each table, with their types.
const TABLES: [(&str, &str); 12] = [
    ("meta", "one bool, version int4, serves int4"),
    (
        "runs",
        "execution uuid, id text, newest bool, workflow text, version int8, lane text, priority int2, state int2, \
         created_at int8, updated_at int8, ended_at int8, input_digest int8, attributes _text, memo bytea, \
         status bytea, conclusion bytea",
    ),
    ("attributes", "name text, value text, execution uuid, created_at int8"),
    (
        "live",
        "execution uuid, owner uuid, inbox_last int8, inbox_seen int8, inbox_freed int8, deaths int4, \
         ended int2, unreleased bool, claim_due bool",
    ),
    ("ready", "execution uuid, workflow text, version int8, lane text, priority int2, due_at int8, awake bool"),
    ("not_build", "execution uuid, build text"),
    ("journal", "execution uuid, seq int8, nonce int8, more bool, body bytea"),
    ("blobs", "execution uuid, blob uuid, bytes bytea"),
    ("inbox", "execution uuid, position int8, message uuid, at int8, body bytea"),
    ("outbox", "message uuid, number int8, execution uuid, owner uuid, to_run text, to_execution uuid, body bytea"),
    ("workers", "incarnation uuid, name text, build text, lease int8, beats int8, beat_at int8, dead bool"),
    ("claims", "incarnation uuid, number int8, executions _uuid"),
];

/// All indexes of this version. Some are promises (`runs_newest`: one newest execution of an id;
/// the journal's key), all keep statements from reading whole tables.
const INDEXES: [&str; 25] = [
    "meta_pkey",
    "runs_pkey",
    "runs_newest",
    "runs_id",
    "runs_ended",
    "runs_created",
    "runs_state",
    "runs_workflow",
    "attributes_pkey",
    "attributes_execution",
    "live_pkey",
    "live_owner",
    "ready_pkey",
    "ready_awake",
    "ready_asleep",
    "not_build_pkey",
    "journal_pkey",
    "blobs_pkey",
    "inbox_pkey",
    "inbox_message",
    "outbox_pkey",
    "outbox_owner",
    "outbox_execution",
    "workers_pkey",
    "claims_pkey",
];

const COLUMNS: &str = "
    SELECT c.relname::text, a.attname::text, t.typname::text
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        JOIN pg_type t ON t.oid = a.atttypid
    WHERE n.nspname = $1 AND c.relkind IN ('r', 'p')";

const VALID_INDEXES: &str = "
    SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_index i ON i.indexrelid = c.oid AND i.indisvalid
    WHERE n.nspname = $1";

/// Refuses a schema in which anything is missing. One of a newer version, which says that it
/// serves this build, may have other indexes.
pub(super) async fn verify(session: &Object, db: &Db, version: i32) -> Result<(), Abort> {
    let mut columns: BTreeMap<(String, String), String> = BTreeMap::new();
    for row in session.query(COLUMNS, &[&db.schema]).await? {
        columns.insert((row.get(0), row.get(1)), row.get(2));
    }
    let indexes: Vec<String> =
        session.query(VALID_INDEXES, &[&db.schema]).await?.iter().map(|row| row.get(0)).collect();
    let mut missing = Vec::new();
    for (table, wanted) in TABLES {
        if !columns.keys().any(|(of, _)| of == table) {
            missing.push(format!("the table {table}"));
            continue;
        }
        for (name, kind) in wanted.split(", ").filter_map(|column| column.split_once(' ')) {
            match columns.get(&(table.to_owned(), name.to_owned())) {
                None => missing.push(format!("the column {table}.{name}")),
                Some(other) if other != kind => missing.push(format!("the type {kind} of {table}.{name}, now {other}")),
                Some(_) => {}
            }
        }
    }
    if version == VERSION {
        let lost = INDEXES.into_iter().filter(|index| !indexes.iter().any(|found| found == index));
        missing.extend(lost.map(|index| format!("the index {index}")));
    }
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!(
        "the schema {} at {} says that it has version {version}, and is not complete: {} is missing; restore it from a \
         backup, or as `saga_postgres::migration_sql({:?})` has it",
        quote(&db.schema),
        db.address.place,
        missing.join(", "),
        db.schema
    );
    Err(StoreError::new(ErrorKind::Incompatible, message).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PostgresStore;

    #[tokio::test]
    async fn what_is_verified_is_all_that_migrations_make() {
        let schema = saga_test_server::fresh_name();
        let store = PostgresStore::builder(&saga_test_server::shared().url()).schema(&schema).connect().await.unwrap();
        let session = store.database().session(crate::db::For::Clients).await.unwrap();
        let mut made: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for row in session.query(&format!("{COLUMNS} ORDER BY a.attnum"), &[&schema]).await.unwrap() {
            let column = format!("{} {}", row.get::<_, &str>(1), row.get::<_, &str>(2));
            made.entry(row.get(0)).or_default().push(column);
        }
        let made: BTreeMap<String, String> =
            made.into_iter().map(|(table, columns)| (table, columns.join(", "))).collect();
        let verified: BTreeMap<String, String> =
            TABLES.into_iter().map(|(table, columns)| (table.to_owned(), columns.to_owned())).collect();
        assert_eq!(made, verified);
        let mut indexes: Vec<String> =
            session.query(VALID_INDEXES, &[&schema]).await.unwrap().iter().map(|row| row.get(0)).collect();
        let mut wanted = INDEXES.map(ToOwned::to_owned).to_vec();
        indexes.sort();
        wanted.sort();
        assert_eq!(indexes, wanted);
    }
}
