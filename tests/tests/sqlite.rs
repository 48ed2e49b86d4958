//! What only the store in a file has: transactional steps, and a disk that can be full.

use futures_util::FutureExt as _;
use saga_runtime::prelude::*;
use saga_runtime::store::RunState;
use saga_runtime::store::wire::Entry;
use saga_sqlite::{SqliteStore, SqliteTx, rusqlite};
use saga_tests::steps::{SagaError, step};
use saga_tests::{Act, InFile, Place, World};
use serde::{Deserialize, Serialize};

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS account (id INTEGER PRIMARY KEY) STRICT;
CREATE TABLE IF NOT EXISTS entry (
    what TEXT NOT NULL,
    account INTEGER NOT NULL REFERENCES account (id) DEFERRABLE INITIALLY DEFERRED
) STRICT;
INSERT OR IGNORE INTO account (id) VALUES (1);
";

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize, Classify)]
enum LedgerError {
    #[error("the account is closed")]
    #[permanent]
    Closed,
    #[error("busy")]
    #[transient(no_effect)]
    Busy,
    #[error("the ledger: {0}")]
    #[permanent]
    Sql(String),
}

impl From<rusqlite::Error> for LedgerError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error.to_string())
    }
}

/// Writes, then does what `what` says: `closed`, `busy once`, `panic once`, `no such account`.
#[activity(transaction, retry(initial = "1ms", max_attempts = 3), compensate = take_back(what))]
fn enter(#[transaction] tx: &SqliteTx<'_>, #[context] cx: &ActivityContext, what: String) -> Result<i64, LedgerError> {
    let account = if what == "no such account" { 7 } else { 1 };
    tx.execute("INSERT INTO entry (what, account) VALUES (?1, ?2)", rusqlite::params![what, account])?;
    match (what.as_str(), cx.attempt()) {
        ("closed", _) => Err(LedgerError::Closed),
        ("busy once", 1) => Err(LedgerError::Busy),
        ("panic once", 1) => panic!("the clerk fell over"),
        _ => Ok(tx.query_row("SELECT count(*) FROM entry", [], |row| row.get(0))?),
    }
}

#[activity(transaction)]
fn take_back(#[transaction] tx: &SqliteTx<'_>, what: String) -> Result<(), LedgerError> {
    tx.execute("INSERT INTO entry (what, account) VALUES (?1, 1)", [format!("undo {what}")])?;
    Ok(())
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error(transparent)]
struct PostError(#[from] ActivityError<LedgerError>);

#[workflow]
async fn posts(entries: Vec<String>) -> Result<i64, PostError> {
    let mut last = 0;
    for what in entries {
        last = enter(what).await?;
    }
    Ok(last)
}

#[derive(Debug, Serialize, Deserialize, Event)]
struct Posted;

/// Tries to send what might be taken back.
#[activity(transaction)]
fn tells(#[transaction] tx: &SqliteTx<'_>, #[context] cx: &ActivityContext) -> Result<String, LedgerError> {
    tx.execute("INSERT INTO entry (what, account) VALUES ('told', 1)", [])?;
    let sent = cx.send(cx.run_id(), Posted).into_future().now_or_never();
    Ok(format!("{sent:?}"))
}

#[workflow]
async fn tells_itself() -> Result<String, PostError> {
    Ok(tells().await?)
}

#[workflow]
async fn makes_steps_on_disk(names: Vec<String>) -> Result<(), SagaError> {
    for name in names {
        step(name).await?;
    }
    Ok(())
}

struct Office {
    _folder: InFile,
    store: SqliteStore,
    world: World,
    engine: Engine,
}

impl Office {
    async fn open() -> Self {
        let folder = InFile::default();
        let store = folder.open().await;
        store.db().setup(|tx| tx.execute_batch(SCHEMA)).await.unwrap();
        let world = World::default();
        let engine = Engine::builder(store.clone()).state(world.clone()).start().await.unwrap();
        Self { _folder: folder, store, world, engine }
    }

    async fn post(&self, id: &str, entries: &[&str]) -> Outcome<i64, PostError> {
        let entries = entries.iter().map(|&what| what.to_owned()).collect();
        self.engine.client().start(posts(entries)).id(id).await.unwrap().outcome().await.unwrap()
    }

    async fn ledger(&self) -> Vec<String> {
        let read = |conn: &rusqlite::Connection| {
            conn.prepare("SELECT what FROM entry ORDER BY rowid")?.query_map([], |row| row.get(0))?.collect()
        };
        self.store.db().read(read).await.unwrap()
    }

    async fn records(&self, id: &str) -> usize {
        self.engine.client().show(id).await.unwrap().records.len()
    }
}

#[tokio::test]
async fn a_transactional_step_costs_one_record_and_its_writes_are_there_once() {
    let office = Office::open().await;
    assert_eq!(office.post("A", &["a", "b", "c"]).await, Outcome::Completed(3));
    assert_eq!(office.ledger().await, ["a", "b", "c"]);
    assert_eq!(office.records("A").await, 5);
}

#[tokio::test]
async fn the_writes_of_a_failed_attempt_are_rolled_back_and_the_step_is_repeated() {
    let office = Office::open().await;
    assert_eq!(office.post("A", &["busy once", "panic once"]).await, Outcome::Completed(2));
    assert_eq!(office.ledger().await, ["busy once", "panic once"]);
}

#[tokio::test]
async fn a_permanent_error_fails_the_step_and_what_was_written_before_is_taken_back() {
    let office = Office::open().await;
    let outcome = office.post("A", &["a", "b", "closed"]).await;
    assert_eq!(outcome, Outcome::Failed(PostError(ActivityError::Failed(LedgerError::Closed))));
    assert_eq!(office.ledger().await, ["a", "b", "undo b", "undo a"]);
}

#[tokio::test]
async fn a_violated_deferred_foreign_key_fails_the_step_and_harms_no_neighbour() {
    let office = Office::open().await;
    let (outcome, neighbour) = tokio::join!(office.post("A", &["a", "no such account"]), office.post("B", &["b"]));
    let Outcome::Failed(PostError(ActivityError::Payload(message))) = outcome else { panic!("{outcome:?}") };
    assert!(message.contains("FOREIGN KEY constraint failed") && message.contains("(after 3 attempts)"), "{message}");
    assert!(matches!(neighbour, Outcome::Completed(_)), "{neighbour:?}");
    let mut ledger = office.ledger().await;
    ledger.sort();
    assert_eq!(ledger, ["a", "b", "undo a"]);
}

#[tokio::test]
async fn an_attempt_within_a_transaction_sends_no_events() {
    let office = Office::open().await;
    let run = office.engine.client().start(tells_itself()).id("A").await.unwrap();
    assert_eq!(run.result().await.unwrap(), "Some(Err(InTransaction))");
    assert_eq!(office.ledger().await, ["told"]);
    let records = office.engine.client().show("A").await.unwrap().records;
    let entries = || records.iter().flat_map(|record| &record.entries);
    assert!(!entries().any(|entry| matches!(entry, Entry::EventReceived(_))), "{records:?}");
}

#[workflow]
async fn posts_beside_each_other(entries: Vec<String>) -> Result<(), PostError> {
    let all = join_all(entries.into_iter().map(enter)).await;
    for entry in all {
        entry?;
    }
    enter("closed".to_owned()).await?;
    Ok(())
}

#[tokio::test]
async fn transactional_steps_beside_each_other_go_one_by_one() {
    let office = Office::open().await;
    let entries = ["a", "b", "c"].map(str::to_owned).to_vec();
    let run = office.engine.client().start(posts_beside_each_other(entries)).id("A").await.unwrap();
    let closed = PostError(ActivityError::Failed(LedgerError::Closed));
    assert_eq!(run.outcome().await.unwrap(), Outcome::Failed(closed));
    let mut ledger = office.ledger().await;
    ledger.sort();
    assert_eq!(ledger, ["a", "b", "c", "undo a", "undo b", "undo c"]);
}

#[tokio::test]
async fn many_transactional_runs_at_once_write_each_entry_once() {
    let office = Office::open().await;
    let client = office.engine.client();
    let mut runs = Vec::new();
    for number in 0..50 {
        let entries = (0..4).map(|part| format!("{number}.{part}")).collect();
        runs.push(client.start(posts(entries)).id(number.to_string()).await.unwrap());
    }
    for run in runs {
        run.result().await.unwrap();
    }
    let ledger = office.ledger().await;
    let distinct: std::collections::BTreeSet<_> = ledger.iter().collect();
    assert_eq!((ledger.len(), distinct.len()), (200, 200));
}

#[tokio::test]
async fn runs_wait_for_room_on_a_full_disk_and_then_go_on() {
    let office = Office::open().await;
    office.world.plan("large", [Act::WaitAndFill(50_000)]);
    let names = ["large", "next"].map(str::to_owned).to_vec();
    let run = office.engine.client().start(makes_steps_on_disk(names)).id("A").await.unwrap();
    office.world.began("large").await;
    let pages = |conn: &rusqlite::Connection| conn.query_row("PRAGMA page_count", [], |row| row.get::<_, u32>(0));
    let pages = office.store.db().read(pages).await.unwrap();
    office.store.db().limit_pages(Some(pages)).await.unwrap();
    let before = office.store.db().stats().rows;
    office.world.open("large");
    // The commit of the step's end is refused again and again, and the next step does not begin.
    for _ in 0..20 {
        // Each goes through the writer, behind the commit that is refused.
        let fill =
            |tx: &SqliteTx<'_>| tx.execute("INSERT INTO entry (what, account) VALUES (?1, 1)", ["x".repeat(50_000)]);
        assert!(office.store.db().write(fill).await.is_err());
        assert_eq!(office.store.db().stats().rows, before);
        assert_eq!(run.view().await.unwrap().state, RunState::Running);
    }
    assert_eq!(office.world.log(), ["large"]);
    office.store.db().limit_pages(None).await.unwrap();
    run.result().await.unwrap();
    assert_eq!(office.world.log(), ["large", "next"]);
    assert_eq!(office.records("A").await, 4);
}
