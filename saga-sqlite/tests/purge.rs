//! What a purge leaves, beyond what every store must.

mod common;

use std::time::Duration;

use saga_store::conformance::lab::row;
use saga_store::{RunCommit, RunState, StateChange, Store};

#[tokio::test]
async fn a_purge_keeps_dead_runs_and_gives_room_back() {
    let (_folder, lab) = common::lab().await;
    let worker = lab.worker().await;
    let dead = lab.owned("dead", worker).await;
    let change = Some(StateChange { state: RunState::Dead, conclusion: None });
    lab.apply(RunCommit { change, ..lab.end(dead, worker, 1) }).await;
    for number in 0..5 {
        let execution = lab.owned(&format!("ORD-{number}"), worker).await;
        let rows = vec![row(vec![1; 200_000])];
        lab.apply(RunCommit { rows, ..lab.end(execution, worker, 1) }).await;
    }
    let pages = || async {
        lab.store
            .db()
            .read(|conn| conn.pragma_query_value(None, "page_count", |row| row.get::<_, i64>(0)))
            .await
            .unwrap()
    };
    let before = pages().await;
    let purged = lab.store.purge(lab.now().await.after(Duration::from_secs(1)), 100).await.unwrap();
    assert_eq!((purged.runs, purged.more), (5, false));
    assert!(pages().await < before - 200, "{} of {before} pages are left", pages().await);
    assert_eq!(lab.journal(dead).await.len(), 2);
}

#[tokio::test]
async fn a_purge_keeps_runs_whose_messages_are_still_to_be_sent() {
    let (_folder, lab) = common::lab().await;
    let worker = lab.worker().await;
    let (sender, other) = (lab.owned("sender", worker).await, lab.owned("other", worker).await);
    let message = lab.message(other);
    lab.apply(RunCommit { outbox: vec![message.clone()], ..lab.end(sender, worker, 1) }).await;
    let later = lab.now().await.after(Duration::from_secs(1));
    assert_eq!(lab.store.purge(later, 100).await.unwrap().runs, 0);
    assert_eq!(lab.outbox(worker).await, [message.id]);
    lab.apply(RunCommit { sent: vec![message.id], ..lab.append(other, worker, 1) }).await;
    assert_eq!(lab.store.purge(later, 100).await.unwrap().runs, 1);
}
