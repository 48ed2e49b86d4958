//! Users' writes in the group commit: transactional steps and closures.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use common::{hold_writer, send_all, step};
use saga_sqlite::{SqliteStore, SqliteTx, rusqlite};
use saga_store::conformance::lab::Lab;
use saga_store::wire::RECORD_LIMIT;
use saga_store::{
    Applied, CommitOutcome, ErrorKind, ExecutionId, Incarnation, RunCommit, Seq, Store, StoreError, TxVerdict,
};
use tempfile::TempDir;

const APPLIED: CommitOutcome = CommitOutcome::Applied(Applied { stay: false });
const ENDLESS: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) ";

/// A store with a table of accounts.
async fn bank() -> (TempDir, Lab<SqliteStore>, Incarnation) {
    let folder = tempfile::tempdir().unwrap();
    let builder = SqliteStore::builder(folder.path().join("store.db"));
    let store = builder.transaction_limit(Duration::from_millis(100)).open().await.unwrap();
    let schema = "CREATE TABLE accounts (name TEXT PRIMARY KEY, cents INTEGER NOT NULL CHECK (cents >= 0));
        CREATE TABLE cards (account TEXT REFERENCES accounts DEFERRABLE INITIALLY DEFERRED);
        INSERT INTO accounts VALUES ('ada', 100)";
    store.db().setup(|tx| tx.execute_batch(schema)).await.unwrap();
    let lab = Lab::new(store);
    let worker = lab.worker().await;
    (folder, lab, worker)
}

fn pay(tx: &SqliteTx<'_>, cents: i64) -> rusqlite::Result<usize> {
    tx.execute("UPDATE accounts SET cents = cents - ?1 WHERE name = 'ada'", [cents])
}

fn keep(body: &'static str) -> TxVerdict {
    TxVerdict::Keep(Bytes::from_static(body.as_bytes()))
}

async fn cents(lab: &Lab<SqliteStore>) -> i64 {
    let read = |conn: &rusqlite::Connection| conn.query_row("SELECT cents FROM accounts", [], |row| row.get(0));
    lab.store.db().read(read).await.unwrap()
}

/// A commit whose step pays 30 cents, keeps it, and counts its calls.
fn payment(lab: &Lab<SqliteStore>, execution: ExecutionId, worker: Incarnation, calls: &Arc<AtomicUsize>) -> RunCommit {
    let calls = Arc::clone(calls);
    let tx = step(move |tx| {
        calls.fetch_add(1, Ordering::Relaxed);
        pay(tx, 30).unwrap();
        keep("paid")
    });
    RunCommit { tx: Some(tx), ..lab.append(execution, worker, 1) }
}

#[tokio::test]
async fn a_steps_writes_and_its_record_are_one_commit() {
    let (_folder, lab, worker) = bank().await;
    let execution = lab.owned("ORD-1", worker).await;
    lab.apply(payment(&lab, execution, worker, &Arc::default())).await;
    assert_eq!(cents(&lab).await, 70);
    assert_eq!(lab.journal(execution).await, ["record 0", "paid"]);
}

#[tokio::test]
async fn a_step_that_is_sent_again_is_not_run_again() {
    let (_folder, lab, worker) = bank().await;
    let execution = lab.owned("ORD-1", worker).await;
    let calls = Arc::default();
    let first = payment(&lab, execution, worker, &calls);
    let again = RunCommit { nonce: first.nonce, ..payment(&lab, execution, worker, &calls) };
    assert_eq!(lab.commit(first).await, APPLIED);
    assert_eq!(lab.commit(again).await, APPLIED);
    assert_eq!((calls.load(Ordering::Relaxed), cents(&lab).await), (1, 70));
}

#[tokio::test]
async fn a_step_behind_the_fence_is_not_run() {
    let (_folder, lab, worker) = bank().await;
    let execution = lab.owned("ORD-1", worker).await;
    lab.apply(lab.append(execution, worker, 1)).await;
    let calls = Arc::default();
    let late = lab.commit(payment(&lab, execution, worker, &calls)).await;
    assert_eq!(late, CommitOutcome::Refused { head: Some(Seq(1)) });
    assert_eq!((calls.load(Ordering::Relaxed), cents(&lab).await), (0, 100));
}

#[tokio::test]
async fn a_step_that_rolls_back_leaves_the_commits_own_rows() {
    let (_folder, lab, worker) = bank().await;
    let execution = lab.owned("ORD-1", worker).await;
    let back = || {
        step(|tx| {
            pay(tx, 30).unwrap();
            TxVerdict::RollBack
        })
    };
    lab.apply(RunCommit { tx: Some(back()), ..lab.append(execution, worker, 1) }).await;
    assert_eq!(lab.journal(execution).await, ["record 0", "record 1"]);
    let silent = RunCommit { tx: Some(back()), rows: Vec::new(), ..lab.append(execution, worker, 2) };
    lab.apply(silent).await;
    assert_eq!(lab.journal(execution).await.len(), 2);
    assert_eq!(cents(&lab).await, 100);
}

#[tokio::test]
async fn a_steps_long_record_goes_on_over_many_rows() {
    let (_folder, lab, worker) = bank().await;
    let execution = lab.owned("ORD-1", worker).await;
    let tx = step(|_| TxVerdict::Keep(vec![5; 2 * RECORD_LIMIT + 1].into()));
    lab.apply(RunCommit { tx: Some(tx), ..lab.append(execution, worker, 1) }).await;
    let journal = lab.load(execution).await.journal;
    assert_eq!(
        journal.iter().map(|row| (row.body.len(), row.more)).collect::<Vec<_>>()[1..],
        [(RECORD_LIMIT, true), (RECORD_LIMIT, true), (1, false),]
    );
}

#[tokio::test]
async fn a_step_that_panics_is_rolled_back_and_the_writer_lives_on() {
    let (_folder, lab, worker) = bank().await;
    let execution = lab.owned("ORD-1", worker).await;
    let tx = step(|tx| {
        pay(tx, 30).unwrap();
        panic!("the user's code is at fault");
    });
    lab.apply(RunCommit { tx: Some(tx), ..lab.append(execution, worker, 1) }).await;
    assert_eq!(lab.journal(execution).await, ["record 0", "record 1"]);
    assert_eq!(cents(&lab).await, 100);
    let error = lab.store.db().write(|_| -> rusqlite::Result<()> { panic!("and here") }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Bug);
    assert!(error.to_string().contains("and here"), "{error}");
}

#[tokio::test]
async fn the_transaction_and_the_stores_tables_are_not_the_users() {
    let (_folder, lab, _) = bank().await;
    for sql in [
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT mine",
        "RELEASE saga_item",
        "ATTACH ':memory:' AS other",
        "DETACH main",
        "PRAGMA synchronous = OFF",
        "DELETE FROM saga_runs",
        "INSERT INTO SAGA_journal (run) VALUES (1)",
        "UPDATE saga_heads SET seq = 0",
        "DROP TABLE saga_live",
        "ALTER TABLE saga_live RENAME TO mine",
        "CREATE TABLE saga_mine (a)",
        "CREATE INDEX mine ON saga_runs (status)",
        "CREATE TRIGGER mine AFTER INSERT ON saga_runs BEGIN SELECT 1; END",
    ] {
        let error = lab.store.db().write(move |tx| tx.execute_batch(sql)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{sql}: {error}");
        assert!(error.to_string().contains("not authorized"), "{sql}: {error}");
    }
    // To read them is allowed.
    let count = |tx: &SqliteTx<'_>| tx.query_row("SELECT count(*) FROM saga_runs", [], |row| row.get::<_, i64>(0));
    assert_eq!(lab.store.db().write(count).await.unwrap(), 0);
}

#[tokio::test]
async fn a_reference_that_leads_nowhere_is_rejected_and_its_neighbours_are_kept() {
    let (_folder, lab, worker) = bank().await;
    let (bad, good) = (lab.owned("bad", worker).await, lab.owned("good", worker).await);
    let tx = step(|tx| {
        tx.execute("INSERT INTO cards VALUES ('nobody')", []).unwrap();
        keep("card")
    });
    let calls = vec![
        lab.store.commit(vec![RunCommit { tx: Some(tx), ..lab.append(bad, worker, 1) }]),
        lab.store.commit(vec![payment(&lab, good, worker, &Arc::default())]),
    ];
    let (release, held) = hold_writer(&lab.store).await;
    let answers = send_all(calls, || drop(release)).await;
    held.await.unwrap();
    let [bad_answer, good_answer]: [_; 2] = answers.try_into().unwrap();
    let bad_answer = bad_answer.unwrap();
    assert!(matches!(&bad_answer[0], CommitOutcome::Rejected(why) if why.contains("FOREIGN KEY")), "{bad_answer:?}");
    assert_eq!(good_answer.unwrap(), [APPLIED]);
    assert_eq!(cents(&lab).await, 70, "the neighbour paid once, although it ran twice");
    assert_eq!((lab.journal(bad).await.len(), lab.journal(good).await.len()), (1, 2));
}

#[tokio::test]
async fn a_step_that_writes_without_end_is_stopped_and_its_neighbours_are_kept() {
    let (_folder, lab, worker) = bank().await;
    let (endless, swallowed, good) =
        (lab.owned("endless", worker).await, lab.owned("swallowed", worker).await, lab.owned("good", worker).await);
    let write = format!("{ENDLESS} INSERT INTO cards SELECT 'ada' FROM n");
    let step_with = |verdict: TxVerdict| {
        let write = write.clone();
        step(move |tx| {
            let error = tx.execute_batch(&write).unwrap_err();
            assert_eq!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::OperationInterrupted));
            verdict.clone()
        })
    };
    let commits = vec![
        payment(&lab, good, worker, &Arc::default()),
        RunCommit { tx: Some(step_with(TxVerdict::RollBack)), ..lab.append(endless, worker, 1) },
        RunCommit { tx: Some(step_with(keep("as if nothing had been"))), ..lab.append(swallowed, worker, 1) },
    ];
    let answers = lab.store.commit(commits).await.unwrap();
    assert_eq!(answers[..2], [APPLIED, APPLIED]);
    assert!(matches!(&answers[2], CommitOutcome::Rejected(why) if why.contains("time limit")), "{answers:?}");
    assert_eq!(lab.journal(endless).await, ["record 0", "record 1"]);
    assert_eq!(lab.journal(swallowed).await.len(), 1);
    assert_eq!(cents(&lab).await, 70);
}

#[tokio::test]
async fn a_query_without_end_fails_its_own_write_only() {
    let (_folder, lab, _) = bank().await;
    let endless = lab
        .store
        .db()
        .write(|tx| {
            pay(tx, 30)?;
            tx.query_row(&format!("{ENDLESS} SELECT max(i) FROM n"), [], |row| row.get::<_, i64>(0))
        })
        .await
        .unwrap_err();
    assert!(endless.to_string().contains("interrupted"), "{endless}");
    assert_eq!(cents(&lab).await, 100);
}

#[tokio::test]
async fn a_write_that_fails_is_undone_alone() {
    let (_folder, lab, _) = bank().await;
    let write = |cents| lab.store.db().write(move |tx| pay(tx, 10).and_then(|_| pay(tx, cents)));
    let (release, held) = hold_writer(&lab.store).await;
    let answers = send_all(vec![write(1), write(500), write(2)], || drop(release)).await;
    held.await.unwrap();
    let kinds: Vec<_> = answers.iter().map(|answer| answer.as_ref().map_err(StoreError::kind)).collect();
    assert_eq!(kinds, [Ok(&1), Err(ErrorKind::Invalid), Ok(&1)]);
    assert_eq!(cents(&lab).await, 100 - 11 - 12);
}

#[tokio::test]
async fn a_step_that_finds_no_room_is_an_outage_and_not_its_failure() {
    let (_folder, lab, worker) = bank().await;
    let execution = lab.owned("ORD-1", worker).await;
    let fill = || {
        step(|tx| match tx.execute("INSERT INTO accounts VALUES (hex(zeroblob(1000000)), 1)", []) {
            Ok(_) => keep("filled"),
            Err(_) => TxVerdict::RollBack,
        })
    };
    lab.store.db().limit_pages(Some(80)).await.unwrap();
    let unsent = lab.store.commit(vec![RunCommit { tx: Some(fill()), ..lab.append(execution, worker, 1) }]).await;
    let unsent = unsent.unwrap_err();
    assert_eq!(unsent.error.kind(), ErrorKind::Unavailable);
    lab.store.db().limit_pages(None).await.unwrap();
    assert_eq!(lab.store.commit(unsent.commits).await.unwrap(), [APPLIED]);
    assert_eq!(lab.journal(execution).await, ["record 0", "filled"]);
}
