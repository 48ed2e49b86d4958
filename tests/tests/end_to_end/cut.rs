//! The journal cut after each record and resumed: the run ends the same, with the same effects.

use std::collections::BTreeSet;
use std::time::Duration;

use saga_runtime::Client;
use saga_runtime::prelude::*;
use saga_runtime::store::wire::{Entry, Record, Row, join_rows};
use saga_runtime::store::{
    BuildId, CommitOutcome, Incarnation, JournalRow, NewRun, NodeInfo, OnExisting, RunCommit, RunId, RunView, Started,
    Store, Then, Timestamp,
};
use saga_tests::steps::{SagaError, book, pay, seal, step};
use saga_tests::{Act, Place, World, engine, on_each_store};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize, Event)]
struct Approval {
    by: String,
}

#[durable]
async fn pays_beside(names: &mut Vec<String>) -> Result<(), SagaError> {
    let (left, right) = join!(pay("left".to_owned()), book("right".to_owned())).await;
    names.push(left?);
    names.push(right?);
    Ok(())
}

/// Says all that a workflow can say; `fails` makes its last step fail.
#[workflow]
async fn says_everything(fails: bool) -> Result<Vec<String>, SagaError> {
    let mut names = vec![pay("first".to_owned()).await?];
    sleep(Duration::ZERO).await;
    names.push(seal("seal".to_owned()).await?);
    pays_beside(&mut names).await?;
    names.push(side_effect(|| "noted".to_owned()).await);
    names.push(format!("{} {}", random::<u64>(), new_uuid()));
    names.push(event::<Approval>().await.by);
    names.push(book("flaky".to_owned()).await?);
    let all = join_all((0..3).map(|number| step(format!("part {number}")))).await;
    for part in all {
        names.push(part?);
    }
    if fails {
        step("fails".to_owned()).await?;
    }
    Ok(names)
}

on_each_store!(a_run_cut_after_any_record_ends_the_same, a_failed_run_cut_after_any_record_ends_the_same);

async fn a_run_cut_after_any_record_ends_the_same(place: impl Place) {
    cut_everywhere(&place, false).await;
}

async fn a_failed_run_cut_after_any_record_ends_the_same(place: impl Place) {
    cut_everywhere(&place, true).await;
}

/// What a run left behind.
struct Left {
    outcome: Outcome<Vec<String>, SagaError>,
    effects: BTreeSet<String>,
    view: RunView,
    journal: Vec<JournalRow>,
}

fn world() -> World {
    let world = World::default();
    world.plan("seal", [Act::Lose]);
    world.plan("flaky", [Act::Refuse, Act::Lose]);
    world.plan("fails", [Act::Decline; 2]);
    world.plan("undo left", [Act::Lose]);
    world
}

async fn cut_everywhere(place: &impl Place, fails: bool) {
    let whole = undisturbed(place, fails).await;
    let records = join_rows(&whole.journal).unwrap();
    assert_eq!(records.len(), whole.journal.len(), "each record is one row");
    assert!(records.len() > 4, "{records:#?}");
    // The last record ends the run: with it there is nothing to resume.
    for cut in 1..records.len() {
        let resumed = resume(place, &whole, cut).await;
        assert_eq!(resumed.outcome, whole.outcome, "cut after {cut}");
        let done = done(&whole.view, &records[..cut]);
        let again: Vec<_> = resumed.effects.intersection(&done).collect();
        assert!(again.is_empty(), "cut after {cut}: {again:?} were done again");
        let together: BTreeSet<String> = resumed.effects.union(&done).cloned().collect();
        assert_eq!(together, whole.effects, "cut after {cut}");
        let kept = &resumed.journal[..cut];
        assert!(kept == &whole.journal[..cut], "what was recorded is not changed");
    }
}

async fn undisturbed(place: &impl Place, fails: bool) -> Left {
    let world = world();
    let engine = engine(place, &world).await;
    let run = engine.client().start(says_everything(fails)).id("A").await.unwrap();
    run.send(Approval { by: "me".to_owned() }).await.unwrap();
    let outcome = run.outcome().await.unwrap();
    engine.shutdown().await;
    drop(run);
    let store = place.open().await;
    left(&store, outcome, &world).await
}

async fn left(store: &impl Store, outcome: Outcome<Vec<String>, SagaError>, world: &World) -> Left {
    let view = store.get(&RunId::new("A").unwrap()).await.unwrap().unwrap();
    let journal = store.load(&[view.execution]).await.unwrap().remove(0).journal;
    Left { outcome, effects: world.effects(), view, journal }
}

/// The effects whose completion these records tell of.
fn done(view: &RunView, records: &[Record]) -> BTreeSet<String> {
    let key = |entry: &Entry| match entry {
        Entry::StepEnded(ended) => Some(format!("{}/{}", view.execution, ended.op)),
        Entry::UndoEnded(op, _) => Some(format!("{}/{op}/undo", view.execution)),
        _ => None,
    };
    records.iter().flat_map(|record| &record.entries).filter_map(key).collect()
}

/// Puts the first records into an empty store, as a worker that died then had left them, and
/// lets an engine go on.
async fn resume(place: &impl Place, whole: &Left, cut: usize) -> Left {
    let place = place.another();
    let store = place.open().await;
    let old = Incarnation::generate(Timestamp::from_system_clock(), &[3; 10]);
    let build = BuildId("old".into());
    let node = NodeInfo { name: "old".to_owned(), incarnation: old, build, lease: Duration::from_secs(1) };
    store.join(&node).await.unwrap();
    assert_eq!(store.start(vec![new_run(whole, old)]).await.unwrap(), [Started::New]);
    for row in &whole.journal[1..cut] {
        let commit = append(whole, row, old);
        let outcome = store.commit(vec![commit]).await.unwrap().remove(0);
        assert!(matches!(outcome, CommitOutcome::Applied(_)), "{outcome:?}");
    }
    store.leave(old).await.unwrap();
    let records = join_rows(&whole.journal[..cut]).unwrap();
    let mut entries = records.iter().flat_map(|record| &record.entries);
    let approved = entries.any(|entry| matches!(entry, Entry::EventReceived(_)));
    let client = Client::new(store.clone());
    let run = client.attach::<says_everything>("A").await.unwrap();
    let world = world();
    let engine = Engine::builder(store.clone()).state(world.clone()).start().await.unwrap();
    if !approved {
        run.send(Approval { by: "me".to_owned() }).await.unwrap();
    }
    let outcome = engine.client().attach::<says_everything>("A").await.unwrap().outcome().await.unwrap();
    engine.shutdown().await;
    left(&store, outcome, &world).await
}

fn new_run(whole: &Left, owner: Incarnation) -> NewRun {
    NewRun {
        id: whole.view.id.clone(),
        execution: whole.view.execution,
        workflow: whole.view.workflow.clone(),
        version: whole.view.version,
        lane: String::new(),
        priority: 0,
        not_before: None,
        attributes: Vec::new(),
        memo: None,
        input_digest: 0,
        first: whole.journal[0].body.clone(),
        nonce: whole.journal[0].nonce,
        blobs: Vec::new(),
        messages: Vec::new(),
        claim_for: Some(owner),
        on_existing: OnExisting::Return,
    }
}

fn append(whole: &Left, row: &JournalRow, owner: Incarnation) -> RunCommit {
    RunCommit {
        execution: whole.view.execution,
        owner,
        seq: row.seq,
        nonce: row.nonce,
        rows: vec![Row { body: row.body.clone(), more: row.more }],
        blobs: Vec::new(),
        inbox_seen: None,
        outbox: Vec::new(),
        sent: Vec::new(),
        change: None,
        status: None,
        then: Then::Keep,
        tx: None,
    }
}
