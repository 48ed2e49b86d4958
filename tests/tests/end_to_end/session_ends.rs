//! What becomes of sessions whose runs are forked, die, or are gone: none is left, and none is taken for
//! another.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use saga_runtime::Repair;
use saga_runtime::prelude::*;
use saga_store::wire::{Claimed, Entry, OpId, Parent, Payload, Record, RunStarted, split_rows};
use saga_store::{
    BuildId, CommitOutcome, ExecutionId, Incarnation, NewRun, NodeInfo, OnExisting, Query, RunCommit, RunId, Seq,
    Started, Store, Then,
};
use saga_tests::steps::SagaError;
use saga_tests::{Place, World, on_each_store};

use crate::journal::entries;
use crate::sessions::{ANSWER, asks, infer, load, one_session, over};
use crate::two::{Two, home, serving, started};

/// Whether the code of [`panics_in_a_session`] is still wrong.
static WRONG: AtomicU32 = AtomicU32::new(0);

/// One of each store's tests is mended when it says so.
#[workflow]
async fn panics_in_a_session(mended: u32) -> Result<String, SagaError> {
    loop {
        let gpu = session("gpu");
        let tried = attempt(async {
            load("model".to_owned()).session(&gpu).await?;
            assert!(WRONG.load(Ordering::Acquire) & mended != 0, "the code is wrong");
            infer("first".to_owned()).session(&gpu).await
        });
        match tried.await {
            Err(error) if error.is_session_lost() => {}
            answer => return Ok(answer?),
        }
    }
}

on_each_store!(
    a_fork_from_where_a_session_begins_has_one_that_ends,
    a_dead_run_ends_its_sessions_and_begins_anew_when_it_is_repaired,
    a_session_whose_run_is_gone_ends,
    a_session_that_no_worker_has_driven_is_left_to_others,
    a_session_is_not_forked,
);

async fn a_fork_from_where_a_session_begins_has_one_that_ends(place: impl Place) {
    let Two { there, home, gpu: worker, .. } = one_session(&place, |_, _| {}).await;
    let client = home.client();
    client.start(asks("model".to_owned())).id("A").await.unwrap().result().await.unwrap();
    let session = entries(client, "A").await.into_iter().find_map(|entry| match entry {
        Entry::ChildScheduled(session) => Some(session.op.to_string()),
        _ => None,
    });
    client.fork("A", session.unwrap()).id("B").await.unwrap();
    let run = client.attach::<asks>("B").await.unwrap();
    assert_eq!(run.result().await.unwrap(), ANSWER);
    assert_eq!(there.attempts("model").len(), 2);
    over(client).await;
    worker.shutdown().await;
    home.shutdown().await;
}

async fn a_dead_run_ends_its_sessions_and_begins_anew_when_it_is_repaired(place: impl Place) {
    let (here, there) = (World::default(), World::default());
    let store = place.open().await;
    let mended = 1 << (store.kind().bytes().map(u32::from).sum::<u32>() % 31);
    let worker = started(serving(&store, &there).limit_sessions("gpu", 1)).await;
    let home = home(&store, &here).await;
    let client = home.client();
    let run = client.start(panics_in_a_session(mended)).id("A").await.unwrap();
    assert!(matches!(run.outcome().await.unwrap(), Outcome::Dead(_)));
    // Its session ends, and makes room.
    over(client).await;
    let other = client.start(asks("model".to_owned())).await.unwrap();
    assert_eq!(other.result().await.unwrap(), ANSWER);
    WRONG.fetch_or(mended, Ordering::AcqRel);
    client.repair("A", Repair::Resume).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "first! by model");
    over(client).await;
    worker.shutdown().await;
    home.shutdown().await;
}

/// A session of a run that is not there.
fn of_nobody(claim_for: Option<Incarnation>) -> NewRun {
    let execution = |last| ExecutionId::from_bytes([1, 154, 0, 0, 0, 0, 112, 0, 128, 0, 0, 0, 0, 0, 0, last]);
    let parent = Parent { execution: execution(1), op: OpId::from(&[0][..]), id: "gone".to_owned() };
    let started_by = RunStarted {
        workflow: "@session/gpu".to_owned(),
        version: 1,
        id: "gone/0".to_owned(),
        input: Payload::json("null"),
        seed: 1,
        terms: None,
        parent: Some(parent),
    };
    let first = Record::new(Timestamp::from_micros(1), vec![Entry::Started(Box::new(started_by))]).to_bytes();
    NewRun {
        id: RunId::new("gone/0").unwrap(),
        execution: execution(2),
        workflow: "@session/gpu".to_owned(),
        version: 1,
        lane: String::new(),
        priority: 0,
        not_before: None,
        attributes: Vec::new(),
        memo: None,
        input_digest: 0,
        first,
        nonce: saga_store::Nonce(1),
        blobs: Vec::new(),
        messages: Vec::new(),
        claim_for,
        on_existing: OnExisting::Return,
    }
}

async fn a_session_that_no_worker_has_driven_is_left_to_others(place: impl Place) {
    let (here, there) = (World::default(), World::default());
    let store = place.open().await;
    let gone = Incarnation::from_bytes([9; 16]);
    let (build, lease) = (BuildId("gone".into()), Duration::from_millis(500));
    store.join(&NodeInfo { name: "gone".to_owned(), incarnation: gone, build, lease }).await.unwrap();
    let session = of_nobody(Some(gone));
    let execution = session.execution;
    assert_eq!(store.start(vec![session]).await.unwrap(), [Started::New]);
    // Its worker has taken it over from another, and dies before it has begun with it.
    let record = Record::new(Timestamp::from_micros(2), vec![Entry::Claimed(Claimed::by(gone.to_string()))]);
    let claimed = RunCommit {
        execution,
        owner: gone,
        seq: Seq(1),
        nonce: saga_store::Nonce(2),
        rows: split_rows(record.to_bytes()),
        blobs: Vec::new(),
        inbox_seen: None,
        outbox: Vec::new(),
        sent: Vec::new(),
        change: None,
        status: None,
        then: Then::Keep,
        tx: None,
    };
    assert!(matches!(store.commit(vec![claimed]).await.unwrap()[..], [CommitOutcome::Applied(_)]));
    let home = home(&store, &here).await;
    while entries(home.client(), "gone/0").await.len() < 3 {
        tokio::task::yield_now().await;
    }
    let state = home.client().get("gone/0").await.unwrap().state;
    assert!(!state.is_final(), "it is nobody's, and not lost: {state:?}");
    let worker = started(serving(&store, &there).slow_poll(Duration::from_millis(100))).await;
    over(home.client()).await;
    worker.shutdown().await;
    home.shutdown().await;
}

async fn a_session_whose_run_is_gone_ends(place: impl Place) {
    let there = World::default();
    let store = place.open().await;
    assert_eq!(store.start(vec![of_nobody(None)]).await.unwrap(), [Started::New]);
    let worker = started(serving(&store, &there).slow_poll(Duration::from_millis(100))).await;
    over(worker.client()).await;
    worker.shutdown().await;
}

async fn a_session_is_not_forked(place: impl Place) {
    let Two { home, gpu: worker, .. } = Two::over(&place).await;
    let client = home.client();
    client.start(asks("model".to_owned())).await.unwrap().result().await.unwrap();
    over(client).await;
    for workflow in ["@session/gpu", "@activity/gpu/load"] {
        let query = Query { workflow: Some(workflow.to_owned()), limit: 1, ..Query::default() };
        let page = client.list(&query).await.unwrap();
        let refused = client.fork(page.runs[0].id.as_str(), "0").await.unwrap_err();
        assert!(refused.to_string().contains("works for another run"), "{refused}");
    }
    worker.shutdown().await;
    home.shutdown().await;
}
