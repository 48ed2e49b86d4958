//! What a workflow says of itself, and who follows it.

use saga_runtime::prelude::*;
use saga_runtime::store::RunState;
use saga_runtime::{Client, RunUpdate};
use saga_tests::steps::{SagaError, pay, step};
use saga_tests::{Act, Place, World, engine, on_each_store};
use serde::{Deserialize, Serialize};

use crate::planted::Whole;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    packed: u32,
    note: String,
}

fn packed(packed: u32) -> Progress {
    Progress { packed, note: String::new() }
}

#[workflow]
async fn packs(large: bool) -> Result<(), SagaError> {
    set_status(packed(0));
    pay("one".to_owned()).await?;
    set_status(packed(9));
    set_status(packed(1));
    step("two".to_owned()).await?;
    set_status(Progress { packed: 2, note: if large { "x".repeat(200_000) } else { String::new() } });
    step("three".to_owned()).await?;
    Ok(())
}

on_each_store!(
    a_status_is_seen_while_the_run_is_live_and_after_its_end,
    a_status_survives_a_crash_and_is_not_part_of_the_journal,
    a_large_status_is_kept_beside_the_journal,
    who_follows_a_run_is_told_of_its_changes_and_its_end,
    who_follows_from_another_process_is_told_too,
    a_run_with_statuses_cut_after_any_record_ends_the_same,
);

async fn a_status_is_seen_while_the_run_is_live_and_after_its_end(place: impl Place) {
    #[workflow]
    async fn says_nothing() -> Result<(), SagaError> {
        Ok(())
    }
    let world = World::default();
    world.plan("two", [Act::Wait]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(packs(false)).id("A").await.unwrap();
    world.began("two").await;
    assert_eq!(run.status().await.unwrap(), Some(packed(1)), "the last one before it waits");
    assert!(run.status::<u32>().await.is_err());
    world.open("two");
    run.result().await.unwrap();
    assert_eq!(run.status().await.unwrap(), Some(packed(2)));
    let silent = engine.client().start(says_nothing()).await.unwrap();
    silent.result().await.unwrap();
    assert_eq!(silent.status::<Progress>().await.unwrap(), None);
}

async fn a_status_survives_a_crash_and_is_not_part_of_the_journal(place: impl Place) {
    let world = World::default();
    world.plan("two", [Act::Hang, Act::Wait]);
    let first = engine(&place, &world).await;
    let run = first.client().start(packs(false)).id("A").await.unwrap();
    world.began("two").await;
    let before = crate::journal::entries(first.client(), "A").await.len();
    assert_eq!(before, 4, "the start, two schedules and one end");
    drop((run, first));
    let second = engine(&place, &world).await;
    world.began("two").await;
    let run = second.client().attach::<packs>("A").await.unwrap();
    assert_eq!(run.status().await.unwrap(), Some(packed(1)));
    world.open("two");
    run.result().await.unwrap();
    assert_eq!(run.status().await.unwrap(), Some(packed(2)));
}

async fn a_large_status_is_kept_beside_the_journal(place: impl Place) {
    let engine = engine(&place, &World::default()).await;
    let run = engine.client().start(packs(true)).await.unwrap();
    run.result().await.unwrap();
    assert_eq!(run.status::<Progress>().await.unwrap().unwrap().note.len(), 200_000);
}

fn told(update: &RunUpdate) -> (RunState, Option<u32>) {
    (update.state, update.status::<Progress>().unwrap().map(|progress| progress.packed))
}

async fn who_follows_a_run_is_told_of_its_changes_and_its_end(place: impl Place) {
    let world = World::default();
    world.plan("one", [Act::Wait]);
    world.plan("two", [Act::Wait]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(packs(false)).id("A").await.unwrap();
    world.began("one").await;
    let mut changes = run.watch();
    assert_eq!(told(&changes.next().await.unwrap().unwrap()), (RunState::Running, Some(0)));
    world.open("one");
    assert_eq!(told(&changes.next().await.unwrap().unwrap()), (RunState::Running, Some(1)));
    world.open("two");
    let mut last = None;
    while let Some(update) = changes.next().await {
        last = Some(told(&update.unwrap()));
    }
    assert_eq!(last, Some((RunState::Completed, Some(2))));
    assert!(changes.next().await.is_none());
    let after = run.watch().next().await.unwrap().unwrap();
    assert_eq!(told(&after), (RunState::Completed, Some(2)));
}

async fn who_follows_from_another_process_is_told_too(place: impl Place) {
    let world = World::default();
    world.plan("one", [Act::Wait]);
    let engine = engine(&place, &world).await;
    engine.client().start(packs(false)).id("A").await.unwrap();
    world.began("one").await;
    let client = Client::new(place.beside().await);
    let mut changes = client.attach::<packs>("A").await.unwrap().watch();
    assert_eq!(told(&changes.next().await.unwrap().unwrap()), (RunState::Running, Some(0)));
    world.open("one");
    let mut last = None;
    while let Some(update) = changes.next().await {
        last = Some(told(&update.unwrap()));
    }
    assert_eq!(last, Some((RunState::Completed, Some(2))));
}

async fn a_run_with_statuses_cut_after_any_record_ends_the_same(place: impl Place) {
    let engine_ = engine(&place, &World::default()).await;
    engine_.client().start(packs(false)).id("A").await.unwrap().result().await.unwrap();
    engine_.shutdown().await;
    let whole = Whole::read(&place.open().await, "A").await;
    for cut in 1..whole.journal.len() {
        let other = place.another();
        whole.plant(&other.open().await, cut).await;
        let engine = engine(&other, &World::default()).await;
        let run = engine.client().attach::<packs>("A").await.unwrap();
        run.result().await.unwrap();
        assert_eq!(run.status().await.unwrap(), Some(packed(2)), "cut after {cut}");
        engine.shutdown().await;
    }
}
