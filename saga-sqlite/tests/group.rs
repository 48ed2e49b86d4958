//! Commits of many share a transaction, and none suffers from another.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{hold_writer, send_all};
use saga_sqlite::{SqliteStore, rusqlite};
use saga_store::conformance::lab::{Lab, Late, row};
use saga_store::{Applied, CommitOutcome, ErrorKind, RunCommit, Store};

const APPLIED: CommitOutcome = CommitOutcome::Applied(Applied { stay: false });

#[tokio::test]
async fn what_gathers_while_the_writer_is_busy_is_one_transaction() {
    let (_folder, lab) = common::lab().await;
    let worker = lab.worker().await;
    let mut commits = Vec::new();
    for number in 0..64 {
        commits.push(lab.append(lab.owned(&format!("ORD-{number}"), worker).await, worker, 1));
    }
    let (release, held) = hold_writer(&lab.store).await;
    let before = lab.store.db().stats();
    let calls = commits.into_iter().map(|commit| lab.store.commit(vec![commit])).collect();
    for answer in send_all(calls, || drop(release)).await {
        assert_eq!(answer.unwrap(), [APPLIED]);
    }
    held.await.unwrap();
    let after = lab.store.db().stats();
    // One is the closure that held the writer up.
    assert_eq!(after.transactions - before.transactions, 2);
    assert_eq!((after.rows - before.rows, after.calls - before.calls), (64, 65));
}

#[tokio::test]
async fn a_call_grows_until_the_writer_begins_with_it() {
    let (_folder, lab) = common::lab().await;
    let worker = lab.worker().await;
    let (first, second) = (lab.owned("ORD-1", worker).await, lab.owned("ORD-2", worker).await);
    let late = Arc::new(Late::default());
    let (release, held) = hold_writer(&lab.store).await;
    let before = lab.store.db().stats();
    let call = lab.store.commit_gathering(vec![lab.append(first, worker, 1)], Arc::<Late>::clone(&late));
    let comes = || {
        late.0.lock().unwrap().push(lab.append(second, worker, 1));
        drop(release);
    };
    let answers = send_all(vec![call], comes).await;
    held.await.unwrap();
    assert_eq!(*answers[0].as_ref().unwrap(), [APPLIED, APPLIED]);
    assert_eq!(lab.store.db().stats().transactions - before.transactions, 2, "one of them held the writer");
    // What a call has taken comes back with its error.
    lab.store.db().limit_pages(Some(60)).await.unwrap();
    let rows = vec![row(vec![7; 250_000]), row(vec![7; 250_000])];
    late.0.lock().unwrap().push(RunCommit { rows, ..lab.append(second, worker, 2) });
    let call = vec![lab.append(first, worker, 2)];
    let unsent = lab.store.commit_gathering(call, Arc::<Late>::clone(&late)).await.unwrap_err();
    assert_eq!(unsent.commits.iter().map(|commit| commit.execution).collect::<Vec<_>>(), [first, second]);
    lab.store.db().limit_pages(None).await.unwrap();
    assert_eq!(lab.store.commit(unsent.commits).await.unwrap(), [APPLIED, APPLIED]);
}

/// Makes the file refuse blobs with these bytes, which are written after the rows.
fn forbid(lab: &Lab<SqliteStore>, bytes: &str) {
    let conn = rusqlite::Connection::open(lab.store.db().path()).unwrap();
    conn.execute_batch(&format!(
        "CREATE TRIGGER forbid BEFORE INSERT ON saga_blobs WHEN NEW.bytes = CAST('{bytes}' AS BLOB)
         BEGIN SELECT raise(ABORT, 'forbidden by the test'); END"
    ))
    .unwrap();
}

#[tokio::test]
async fn a_bad_row_is_rejected_and_its_neighbours_are_applied() {
    let (_folder, lab) = common::lab().await;
    let worker = lab.worker().await;
    let mut runs = Vec::new();
    for id in ["first", "bad", "third", "elsewhere"] {
        runs.push(lab.owned(id, worker).await);
    }
    forbid(&lab, "bad");
    let call = vec![
        lab.append(runs[0], worker, 1),
        RunCommit { blobs: vec![lab.blob("good"), lab.blob("bad")], ..lab.append(runs[1], worker, 1) },
        lab.append(runs[2], worker, 1),
    ];
    let neighbour = vec![lab.append(runs[3], worker, 1)];
    let (release, held) = hold_writer(&lab.store).await;
    let answers = send_all(vec![lab.store.commit(call), lab.store.commit(neighbour)], || drop(release)).await;
    held.await.unwrap();
    let [call, neighbour]: [_; 2] = answers.try_into().unwrap();
    let call = call.unwrap();
    assert_eq!((&call[0], &call[2]), (&APPLIED, &APPLIED));
    assert!(matches!(&call[1], CommitOutcome::Rejected(why) if why.contains("forbidden by the test")), "{call:?}");
    assert_eq!(neighbour.unwrap(), [APPLIED]);
    for (run, rows) in runs.iter().zip([2, 1, 2, 2]) {
        assert_eq!(lab.journal(*run).await.len(), rows);
    }
    // The place is free still, and so is the next.
    assert_eq!(lab.commit(lab.append(runs[1], worker, 1)).await, APPLIED);
    assert_eq!(lab.commit(lab.append(runs[0], worker, 2)).await, APPLIED);
}

#[tokio::test]
async fn a_full_disk_gives_the_commits_back_and_they_go_on_when_there_is_room() {
    let (_folder, lab) = common::lab().await;
    let worker = lab.worker().await;
    let execution = lab.owned("ORD-1", worker).await;
    let large = |seq| RunCommit { rows: vec![row(vec![7; 200_000])], ..lab.append(execution, worker, seq) };
    lab.apply(large(1)).await;
    lab.store.db().limit_pages(Some(120)).await.unwrap();
    let mut unsent = lab.store.commit(vec![large(2)]).await.map(drop).unwrap_err();
    for _ in 0..3 {
        assert_eq!(unsent.error.kind(), ErrorKind::Unavailable);
        assert!(unsent.error.to_string().contains("no room"), "{}", unsent.error);
        assert_eq!(unsent.commits.len(), 1);
        assert_eq!(lab.journal(execution).await.len(), 2);
        unsent = lab.store.commit(unsent.commits).await.map(drop).unwrap_err();
    }
    lab.store.db().limit_pages(None).await.unwrap();
    assert_eq!(lab.store.commit(unsent.commits).await.unwrap(), [APPLIED]);
    assert_eq!(lab.journal(execution).await.len(), 3);
}

#[tokio::test]
async fn a_commit_that_finds_no_room_takes_none_from_smaller_ones_of_its_group() {
    let (_folder, lab) = common::lab().await;
    let worker = lab.worker().await;
    let (large, small) = (lab.owned("large", worker).await, lab.owned("small", worker).await);
    lab.store.db().limit_pages(Some(60)).await.unwrap();
    let rows = vec![row(vec![7; 250_000]), row(vec![7; 250_000])];
    let calls = vec![
        lab.store.commit(vec![RunCommit { rows, ..lab.append(large, worker, 1) }]),
        lab.store.commit(vec![lab.append(small, worker, 1)]),
    ];
    let (release, held) = hold_writer(&lab.store).await;
    let answers = send_all(calls, || drop(release)).await;
    held.await.unwrap();
    let [large, small]: [_; 2] = answers.try_into().unwrap();
    assert_eq!(large.unwrap_err().error.kind(), ErrorKind::Unavailable);
    assert_eq!(small.unwrap(), [APPLIED]);
}

#[tokio::test]
async fn a_file_that_another_process_holds_is_an_outage_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = SqliteStore::builder(&path).busy_timeout(Duration::from_millis(1)).open().await.unwrap();
    let lab = Lab::new(store);
    let worker = lab.worker().await;
    let execution = lab.owned("ORD-1", worker).await;
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    let unsent = lab.store.commit(vec![lab.append(execution, worker, 1)]).await.unwrap_err();
    assert_eq!(unsent.error.kind(), ErrorKind::Unavailable);
    assert!(unsent.error.to_string().contains("is busy"), "{}", unsent.error);
    conn.execute_batch("ROLLBACK").unwrap();
    assert_eq!(lab.store.commit(unsent.commits).await.unwrap(), [APPLIED]);
}

#[tokio::test]
async fn dropping_the_store_waits_for_what_was_asked_for() {
    let (folder, lab) = common::lab().await;
    let worker = lab.worker().await;
    let execution = lab.owned("ORD-1", worker).await;
    let (release, held) = hold_writer(&lab.store).await;
    // Asked for once, then nobody waits for the answer.
    let mut asked = Box::pin(lab.store.commit(vec![lab.append(execution, worker, 1)]));
    std::future::poll_fn(|cx| {
        assert!(asked.as_mut().poll(cx).is_pending());
        std::task::Poll::Ready(())
    })
    .await;
    drop(asked);
    drop(release);
    held.await.unwrap();
    drop(lab);
    let store = SqliteStore::open(folder.path().join("store.db")).await.unwrap();
    assert_eq!(store.load(&[execution]).await.unwrap()[0].journal.len(), 2);
}
