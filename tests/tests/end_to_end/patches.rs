//! Code that changes under live runs.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use saga_runtime::prelude::*;
use saga_runtime::store::wire::Entry;
use saga_tests::steps::{SagaError, step};
use saga_tests::{Act, Place, World, engine, on_each_store};

use crate::journal::entries;
use crate::planted::Whole;

/// Which code each run finds, as if another build had been deployed meanwhile.
static CODE: Mutex<BTreeMap<u64, Code>> = Mutex::new(BTreeMap::new());

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Code {
    Old,
    Patched,
    Deprecated,
    Gone,
}

fn deploy(key: u64, code: Code) {
    CODE.lock().unwrap_or_else(PoisonError::into_inner).insert(key, code);
}

fn code(key: u64) -> Code {
    CODE.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied().unwrap_or(Code::Old)
}

/// A key that no other run has.
fn new_key(code: Code) -> u64 {
    let key = CODE.lock().unwrap_or_else(PoisonError::into_inner).len() as u64 + 1;
    deploy(key, code);
    key
}

#[durable]
async fn screen(key: u64) -> Result<(), SagaError> {
    let screens = match code(key) {
        Code::Old => false,
        Code::Patched => patched("screen"),
        Code::Deprecated => {
            deprecate_patch("screen");
            true
        }
        Code::Gone => true,
    };
    if screens {
        step("screen".to_owned()).await?;
    }
    Ok(())
}

#[workflow]
async fn sells_twice(key: u64) -> Result<(), SagaError> {
    for _ in 0..2 {
        step("first".to_owned()).await?;
        screen(key).await?;
        step("last".to_owned()).await?;
    }
    Ok(())
}

on_each_store!(
    a_run_that_has_passed_keeps_the_old_path_for_good,
    a_run_that_has_not_come_there_takes_the_new_path_and_says_so_once,
    a_patched_run_cut_after_any_record_ends_the_same,
    a_deprecated_patch_is_found_by_old_runs_and_not_recorded_by_new_ones,
    a_recorded_choice_without_its_call_is_said_so,
    a_renamed_workflow_goes_on_with_runs_of_its_old_name,
);

fn patches(entries: &[Entry]) -> usize {
    entries.iter().filter(|entry| matches!(entry, Entry::Patched(id) if id == "screen")).count()
}

/// A run that is interrupted at this step, and goes on with the changed code.
async fn change_at(place: &impl Place, name: &str) -> (Vec<String>, Vec<Entry>) {
    let key = new_key(Code::Old);
    let world = World::default();
    world.plan(name, [Act::Hang]);
    let first = engine(place, &world).await;
    first.client().start(sells_twice(key)).id("A").await.unwrap();
    world.began(name).await;
    drop(first);
    deploy(key, Code::Patched);
    let second = engine(place, &world).await;
    second.client().attach::<sells_twice>("A").await.unwrap().result().await.unwrap();
    (world.log(), entries(second.client(), "A").await)
}

async fn a_run_that_has_passed_keeps_the_old_path_for_good(place: impl Place) {
    let (log, entries) = change_at(&place, "last").await;
    assert_eq!(log, ["first", "last", "last", "first", "last"]);
    assert_eq!(patches(&entries), 0);
}

async fn a_run_that_has_not_come_there_takes_the_new_path_and_says_so_once(place: impl Place) {
    let (log, entries) = change_at(&place, "first").await;
    assert_eq!(log, ["first", "first", "screen", "last", "first", "screen", "last"]);
    assert_eq!(patches(&entries), 1);
}

async fn whole(place: &impl Place) -> Whole {
    let engine = engine(place, &World::default()).await;
    engine.client().start(sells_twice(new_key(Code::Patched))).id("A").await.unwrap().result().await.unwrap();
    engine.shutdown().await;
    Whole::read(&place.open().await, "A").await
}

async fn a_patched_run_cut_after_any_record_ends_the_same(place: impl Place) {
    let whole = whole(&place).await;
    for cut in 1..whole.journal.len() {
        let other = place.another();
        whole.plant(&other.open().await, cut).await;
        let world = World::default();
        let engine = engine(&other, &world).await;
        engine.client().attach::<sells_twice>("A").await.unwrap().result().await.unwrap();
        let ended = whole.entries(cut).iter().filter(|entry| matches!(entry, Entry::StepEnded(_))).count();
        assert_eq!(world.log().len(), 6 - ended, "cut after {cut}: {:?}", world.log());
        assert_eq!(patches(&entries(engine.client(), "A").await), 1, "cut after {cut}");
        engine.shutdown().await;
    }
}

async fn a_deprecated_patch_is_found_by_old_runs_and_not_recorded_by_new_ones(place: impl Place) {
    let key = new_key(Code::Patched);
    let world = World::default();
    world.plan("last", [Act::Hang]);
    let first = engine(&place, &world).await;
    first.client().start(sells_twice(key)).id("A").await.unwrap();
    world.began("last").await;
    drop(first);
    deploy(key, Code::Deprecated);
    let second = engine(&place, &world).await;
    second.client().attach::<sells_twice>("A").await.unwrap().result().await.unwrap();
    assert_eq!(patches(&entries(second.client(), "A").await), 1);
    second.client().start(sells_twice(key)).id("B").await.unwrap().result().await.unwrap();
    assert_eq!(patches(&entries(second.client(), "B").await), 0);
}

async fn a_recorded_choice_without_its_call_is_said_so(place: impl Place) {
    let key = new_key(Code::Patched);
    let world = World::default();
    world.plan("last", [Act::Hang]);
    let first = engine(&place, &world).await;
    first.client().start(sells_twice(key)).id("A").await.unwrap();
    world.began("last").await;
    drop(first);
    deploy(key, Code::Gone);
    let second = engine(&place, &world).await;
    let run = second.client().attach::<sells_twice>("A").await.unwrap();
    let Outcome::Dead(reason) = run.outcome().await.unwrap() else { panic!("not dead") };
    assert!(reason.contains("the choice of patch `screen` (see `deprecate_patch`)"), "{reason}");
}

async fn a_renamed_workflow_goes_on_with_runs_of_its_old_name(place: impl Place) {
    #[workflow(name = "sells_once", alias = "sold_once")]
    async fn sells_once() -> Result<(), SagaError> {
        step("first".to_owned()).await?;
        step("last".to_owned()).await?;
        Ok(())
    }
    let there = place.another();
    let one = engine(&there, &World::default()).await;
    one.client().start(sells_once()).id("A").await.unwrap().result().await.unwrap();
    one.shutdown().await;
    let mut whole = Whole::read(&there.open().await, "A").await;
    "sold_once".clone_into(&mut whole.view.workflow);
    whole.plant(&place.open().await, 2).await;
    let engine = engine(&place, &World::default()).await;
    engine.client().attach::<sells_once>("A").await.unwrap().result().await.unwrap();
    let again = engine.client().start(sells_once()).id("A").await.unwrap();
    assert!(!again.is_new());
    again.result().await.unwrap();
    assert_eq!(engine.client().get("A").await.unwrap().workflow, "sold_once");
}
