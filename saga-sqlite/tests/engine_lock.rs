//! One engine a file, and what others may do beside it.

mod common;

use saga_sqlite::SqliteStore;
use saga_store::conformance::lab::Lab;
use saga_store::{CommitOutcome, ErrorKind, Hint, NodeInfo, RunCommit, RunState, Seq, StateChange, Store, Then};

fn node(lab: &Lab<SqliteStore>) -> NodeInfo {
    Lab::<SqliteStore>::node(lab.incarnation())
}

#[tokio::test]
async fn a_second_engine_is_refused_and_told_of_the_first() {
    let (_folder, lab) = common::lab().await;
    lab.worker().await;
    let second = SqliteStore::open(lab.store.db().path()).await.unwrap();
    let error = second.join(&node(&lab)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    let message = error.to_string();
    assert!(message.contains("store.db") && message.contains("stop it first"), "{message}");
    assert!(message.contains(&std::process::id().to_string()), "{message}");
}

#[tokio::test]
async fn clients_need_no_lock() {
    let (_folder, lab) = common::lab().await;
    let worker = lab.worker().await;
    let client = SqliteStore::open(lab.store.db().path()).await.unwrap();
    client.start(vec![lab.new_run("ORD-1")]).await.unwrap();
    assert_eq!(lab.claim(worker).await.len(), 1);
}

#[tokio::test]
async fn the_lock_is_free_when_the_last_worker_has_left() {
    let (_folder, lab) = common::lab().await;
    let (one, two) = (lab.worker().await, lab.worker().await);
    let other = SqliteStore::open(lab.store.db().path()).await.unwrap();
    lab.store.leave(one).await.unwrap();
    assert_eq!(other.join(&node(&lab)).await.unwrap_err().kind(), ErrorKind::Locked);
    lab.store.leave(two).await.unwrap();
    assert_eq!(other.join(&node(&lab)).await.unwrap().proven_dead, []);
}

#[tokio::test]
async fn the_lock_proves_the_predecessor_dead_and_its_runs_are_adopted_at_once() {
    let (folder, lab) = common::lab().await;
    let dead = lab.worker().await;
    let execution = lab.owned("ORD-1", dead).await;
    drop(lab);
    let lab = Lab::new(SqliteStore::open(folder.path().join("store.db")).await.unwrap());
    let next = node(&lab);
    assert_eq!(lab.store.join(&next).await.unwrap().proven_dead, [dead]);
    let adopted = lab.adopt(dead, next.incarnation).await;
    assert_eq!(adopted.len(), 1);
    assert_eq!((adopted[0].execution, adopted[0].taken_over, adopted[0].deaths), (execution, true, 1));
    assert_eq!(lab.store.beat(next.incarnation).await.unwrap().peers, []);
}

#[tokio::test]
async fn time_does_not_go_back_over_a_restart() {
    let (folder, lab) = common::lab().await;
    let execution = lab.pending("ORD-1").await;
    let ahead = lab.now().await.after(std::time::Duration::from_secs(3600));
    drop(lab);
    let path = folder.path().join("store.db");
    let conn = saga_sqlite::rusqlite::Connection::open(&path).unwrap();
    conn.execute("UPDATE saga_runs SET created_at = ?1", [ahead.as_micros()]).unwrap();
    drop(conn);
    let lab = Lab::new(SqliteStore::open(&path).await.unwrap());
    assert_eq!(lab.view(execution).await.created_at, ahead);
    assert!(lab.now().await >= ahead);
}

#[tokio::test]
async fn writes_of_another_connection_give_a_hint_and_own_writes_give_their_own() {
    let (_folder, lab) = common::lab().await;
    let worker = lab.worker().await;
    let mut hints = lab.store.hints();
    let client = SqliteStore::open(lab.store.db().path()).await.unwrap();
    client.start(vec![lab.new_run("ORD-1")]).await.unwrap();
    assert_eq!(hints.next().await, Some(Hint::Anything));
    let execution = lab.owned("ORD-2", worker).await;
    lab.apply(lab.end(execution, worker, 1)).await;
    assert_eq!(hints.next().await, Some(Hint::Ended(execution)));
}

#[tokio::test]
async fn another_processs_append_is_seen_by_the_writer_that_remembers_the_head() {
    let (_folder, lab) = common::lab().await;
    let worker = lab.worker().await;
    let execution = lab.owned("ORD-1", worker).await;
    lab.apply(lab.append(execution, worker, 1)).await;
    let operator = SqliteStore::open(lab.store.db().path()).await.unwrap();
    let change = Some(StateChange { state: RunState::Terminated, conclusion: None });
    let terminate = RunCommit { change, then: Then::End, ..lab.append(execution, lab.incarnation(), 2) };
    operator.commit(vec![terminate]).await.unwrap();
    let refused = lab.commit(lab.append(execution, worker, 2)).await;
    assert_eq!(refused, CommitOutcome::Refused { head: Some(Seq(2)) });
}
