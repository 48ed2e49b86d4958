//! A worker that was taken for dead and lives on: its runs are others', and it joins anew.

use saga_runtime::prelude::*;
use saga_store::wire::{Claimed, Entry, Record, split_rows};
use saga_store::{
    BuildId, ClaimedRun, CommitOutcome, Incarnation, NodeInfo, Nonce, RunCommit, Seq, Store, Then, Timestamp,
};
use saga_tests::steps::{SagaError, pay, step};
use saga_tests::{Act, Place, World, on_each_store};

#[workflow]
async fn pay_and_step() -> Result<String, SagaError> {
    let first = pay("first".to_owned()).await?;
    let second = step("second".to_owned()).await?;
    Ok(format!("{first} {second}"))
}

on_each_store!(
    a_worker_that_was_taken_for_dead_drops_its_runs_joins_anew_and_goes_on,
    a_commit_of_the_life_before_is_refused,
    a_worker_whose_membership_was_deleted_joins_anew,
);

/// Another worker, without an engine.
struct Rival<S> {
    store: S,
    incarnation: Incarnation,
}

impl<S: Store + Clone> Rival<S> {
    async fn joins(store: &S) -> Self {
        let incarnation = Incarnation::generate(Timestamp::from_system_clock(), &[9; 10]);
        let lease = std::time::Duration::from_secs(3600);
        let build = BuildId("rival".into());
        store.join(&NodeInfo { name: "rival".to_owned(), incarnation, build, lease }).await.unwrap();
        Self { store: store.clone(), incarnation }
    }

    /// The life of the only other worker.
    async fn other(&self) -> Incarnation {
        let peers = self.store.beat(self.incarnation).await.unwrap().peers;
        assert_eq!(peers.len(), 1);
        peers[0].incarnation
    }

    /// Takes the other worker for dead, and its only run.
    async fn takes_over(&self) -> ClaimedRun {
        let dead = self.other().await;
        let mut adopted = self.store.adopt(dead, self.incarnation, 10).await.unwrap();
        assert_eq!(adopted.len(), 1);
        let run = adopted.remove(0);
        let journal = self.store.load(&[run.execution]).await.unwrap().remove(0).journal;
        let claimed = Entry::Claimed(Claimed::by(self.incarnation.to_string()));
        let commit = RunCommit {
            execution: run.execution,
            owner: self.incarnation,
            seq: Seq(journal.len() as u64),
            nonce: Nonce(7),
            rows: split_rows(Record::new(Timestamp::from_system_clock(), vec![claimed]).to_bytes()),
            blobs: Vec::new(),
            inbox_seen: None,
            outbox: Vec::new(),
            sent: Vec::new(),
            change: None,
            status: None,
            then: Then::Keep,
            tx: None,
        };
        let outcomes = self.store.commit(vec![commit]).await.unwrap();
        assert!(matches!(outcomes.as_slice(), [CommitOutcome::Applied(_)]), "{outcomes:?}");
        run
    }

    async fn leaves(self) {
        self.store.leave(self.incarnation).await.unwrap();
    }
}

async fn a_worker_that_was_taken_for_dead_drops_its_runs_joins_anew_and_goes_on(place: impl Place) {
    let world = World::default();
    world.plan("second", [Act::Hang]);
    let store = place.open().await;
    let engine = Engine::builder(store.clone()).state(world.clone()).start().await.unwrap();
    let run = engine.client().start(pay_and_step()).id("A").await.unwrap();
    world.began("second").await;

    let rival = Rival::joins(&store).await;
    let first_life = rival.other().await;
    let taken = rival.takes_over().await;
    assert_eq!(taken.deaths, 1);
    // The attempt of the life before is dropped, though nobody asks the run for anything.
    world.heard("dropped second").await;
    // The rival hands the run back, to whom it may concern.
    while rival.store.beat(rival.incarnation).await.unwrap().peers.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_ne!(rival.other().await, first_life, "a life's name is never used again");
    rival.leaves().await;

    assert_eq!(run.result().await.unwrap(), "first! second!");
    assert_eq!(world.log(), ["first", "second", "second"]);
    let another = engine.client().start(pay_and_step()).id("B").await.unwrap();
    assert_eq!(another.result().await.unwrap(), "first! second!");
}

async fn a_commit_of_the_life_before_is_refused(place: impl Place) {
    let world = World::default();
    world.plan("second", [Act::Wait]);
    let store = place.open().await;
    // This worker finds out by its commit alone: the first beat is an hour away.
    let hour = std::time::Duration::from_secs(3600);
    let builder = Engine::builder(store.clone()).state(world.clone()).heartbeat(hour, hour * 3);
    let engine = builder.start().await.unwrap();
    let run = engine.client().start(pay_and_step()).id("A").await.unwrap();
    world.began("second").await;

    let rival = Rival::joins(&store).await;
    rival.takes_over().await;
    world.open("second");
    let other = engine.client().start(pay_and_step()).id("B").await.unwrap();
    rival.leaves().await;
    assert_eq!(run.result().await.unwrap(), "first! second!");
    assert_eq!(other.result().await.unwrap(), "first! second!");
    let entries = crate::journal::entries(engine.client(), "A").await;
    let ends = entries.iter().filter(|entry| matches!(entry, Entry::StepEnded(_))).count();
    assert_eq!(ends, 2, "{entries:?}");
    let claims = entries.iter().filter(|entry| matches!(entry, Entry::Claimed(_))).count();
    assert_eq!(claims, 2, "the rival's and the next life's: {entries:?}");
}

async fn a_worker_whose_membership_was_deleted_joins_anew(place: impl Place) {
    let world = World::default();
    world.plan("second", [Act::Hang]);
    let store = place.open().await;
    let engine = Engine::builder(store.clone()).state(world.clone()).start().await.unwrap();
    let run = engine.client().start(pay_and_step()).id("A").await.unwrap();
    world.began("second").await;
    let rival = Rival::joins(&store).await;
    // As an operator does who takes the worker for gone.
    store.leave(rival.other().await).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "first! second!");
    assert_eq!(world.log(), ["first", "second", "second"]);
}
