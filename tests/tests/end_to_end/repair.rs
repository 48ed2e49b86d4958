//! Dead runs that an operator repairs.

use std::sync::atomic::{AtomicBool, Ordering};

use saga_runtime::prelude::*;
use saga_runtime::store::RunState;
use saga_runtime::store::wire::{Entry, UndoCause};
use saga_runtime::{Client, Repair};
use saga_tests::steps::{SagaError, book, pay, step};
use saga_tests::{Act, Place, World, engine, on_each_store};

use crate::journal::entries;
use crate::planted::Whole;

#[workflow]
async fn pays_thrice_and_gives_up() -> Result<(), SagaError> {
    pay("a".to_owned()).await?;
    pay("b".to_owned()).await?;
    pay("c".to_owned()).await?;
    Err(SagaError::GivesUp)
}

#[workflow]
async fn books_and_works() -> Result<String, SagaError> {
    let room = book("room".to_owned()).await?;
    step("work".to_owned()).await?;
    Ok(room)
}

on_each_store!(
    a_failed_undo_is_tried_again_and_the_undoing_goes_on,
    a_failed_undo_is_skipped_and_the_undoing_goes_on,
    a_repair_that_does_not_fit_is_refused_and_changes_nothing,
    an_open_step_of_a_live_run_is_given_a_result,
    a_result_that_is_given_is_undone_like_any_other,
    a_run_dead_of_its_code_goes_on_with_better_code,
    a_repaired_run_cut_after_any_record_ends_the_same,
);

fn step_of(name: &str) -> String {
    name.to_owned()
}

async fn a_failed_undo_is_tried_again_and_the_undoing_goes_on(place: impl Place) {
    let world = World::default();
    world.plan("undo b", [Act::Decline, Act::Decline]);
    let first = engine(&place, &world).await;
    let run = first.client().start(pays_thrice_and_gives_up()).id("A").await.unwrap();
    assert!(matches!(run.outcome().await.unwrap(), Outcome::Dead(_)));
    first.client().repair("A", Repair::Retry).await.unwrap();
    let Outcome::Dead(reason) = run.outcome().await.unwrap() else { panic!("not dead") };
    assert!(reason.starts_with("the undo of step 1 by `undo_step` failed for good"), "{reason}");
    drop((run, first));
    let second = engine(&place, &world).await;
    while world.attempts("undo b").len() < 2 {
        tokio::task::yield_now().await;
    }
    second.client().repair("A", Repair::Retry).await.unwrap();
    let run = second.client().attach::<pays_thrice_and_gives_up>("A").await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Failed(SagaError::GivesUp));
    assert_eq!(world.log(), ["a", "b", "c", "undo c", "undo b", "undo b", "undo b", "undo a"]);
    let attempts = world.attempts("undo b");
    assert_eq!(attempts[0].key, attempts[2].key);
}

async fn a_failed_undo_is_skipped_and_the_undoing_goes_on(place: impl Place) {
    let world = World::default();
    world.plan("undo b", [Act::Decline]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(pays_thrice_and_gives_up()).id("A").await.unwrap();
    assert!(matches!(run.outcome().await.unwrap(), Outcome::Dead(_)));
    let operator = Client::new(place.beside().await);
    operator.repair("A", Repair::Skip { step: step_of("1") }).await.unwrap();
    while run.view().await.unwrap().state != RunState::Failed {
        tokio::task::yield_now().await;
    }
    assert_eq!(run.outcome().await.unwrap(), Outcome::Failed(SagaError::GivesUp));
    assert_eq!(world.log(), ["a", "b", "c", "undo c", "undo b", "undo a"]);
}

async fn a_repair_that_does_not_fit_is_refused_and_changes_nothing(place: impl Place) {
    let world = World::default();
    world.plan("undo b", [Act::Decline]);
    world.plan("work", [Act::Wait]);
    let engine = engine(&place, &world).await;
    let client = engine.client();
    let dead = client.start(pays_thrice_and_gives_up()).id("A").await.unwrap();
    dead.outcome().await.unwrap();
    let live = client.start(books_and_works()).id("B").await.unwrap();
    world.began("work").await;
    let set = |step: &str, json: &str| Repair::SetResult { step: step.to_owned(), json: json.to_owned() };
    for (id, repair, expected) in [
        ("A", Repair::Resume, "the undo of step 1 failed for good: retry it or skip it (run A)"),
        ("A", Repair::Skip { step: step_of("2") }, "the undo of step 2 has not failed for good (1) (run A)"),
        ("A", Repair::Skip { step: step_of("x") }, "`x` names no step; one is written `2`, or `4.1.0` (run A)"),
        ("B", Repair::Retry, "the run is not dead (run B)"),
        ("B", set("0", "1"), "step 0 is not open: it was not scheduled, or has ended (run B)"),
        ("B", set("1", "{"), "the result is no JSON: EOF while parsing an object at line 1 column 1 (run B)"),
    ] {
        let before = entries(client, id).await;
        assert_eq!(client.repair(id, repair).await.unwrap_err().to_string(), expected);
        assert_eq!(entries(client, id).await, before);
    }
    world.open("work");
    live.result().await.unwrap();
    assert_eq!(client.repair("B", Repair::Retry).await.unwrap_err().to_string(), "run B has ended");
}

async fn an_open_step_of_a_live_run_is_given_a_result(place: impl Place) {
    let world = World::default();
    world.plan("room", [Act::Hang]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(books_and_works()).id("A").await.unwrap();
    world.began("room").await;
    let json = "\"number 7\"".to_owned();
    engine.client().repair("A", Repair::SetResult { step: step_of("0"), json }).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "number 7");
    assert_eq!(world.log(), ["room", "work"]);
}

async fn a_result_that_is_given_is_undone_like_any_other(place: impl Place) {
    let world = World::default();
    world.plan("room", [Act::Hang]);
    world.plan("work", [Act::Decline]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(books_and_works()).id("A").await.unwrap();
    world.began("room").await;
    let json = "\"number 7\"".to_owned();
    let operator = Client::new(place.beside().await);
    operator.repair("A", Repair::SetResult { step: step_of("0"), json }).await.unwrap();
    while !run.view().await.unwrap().state.is_final() {
        tokio::task::yield_now().await;
    }
    assert!(matches!(run.outcome().await.unwrap(), Outcome::Failed(SagaError::Step(_))));
    assert_eq!(world.log(), ["room", "work", "undo number 7"]);
}

async fn a_run_dead_of_its_code_goes_on_with_better_code(place: impl Place) {
    static BROKEN: AtomicBool = AtomicBool::new(true);
    #[workflow]
    async fn falls_over_at_first() -> Result<(), SagaError> {
        pay("a".to_owned()).await?;
        assert!(!BROKEN.load(Ordering::SeqCst), "broken");
        step("b".to_owned()).await?;
        Ok(())
    }
    let world = World::default();
    let first = engine(&place, &world).await;
    let run = first.client().start(falls_over_at_first()).id("A").await.unwrap();
    let outcome = run.outcome().await.unwrap();
    assert!(matches!(outcome, Outcome::Dead(_)) || !BROKEN.load(Ordering::SeqCst));
    BROKEN.store(false, Ordering::SeqCst);
    if matches!(outcome, Outcome::Dead(_)) {
        first.client().repair("A", Repair::Resume).await.unwrap();
        while run.view().await.unwrap().state != RunState::Completed {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(world.log(), ["a", "b"]);
}

async fn a_repaired_run_cut_after_any_record_ends_the_same(place: impl Place) {
    let world = World::default();
    world.plan("undo b", [Act::Decline]);
    let first = engine(&place, &world).await;
    let run = first.client().start(pays_thrice_and_gives_up()).id("A").await.unwrap();
    run.outcome().await.unwrap();
    first.client().repair("A", Repair::Retry).await.unwrap();
    while run.view().await.unwrap().state != RunState::Failed {
        tokio::task::yield_now().await;
    }
    first.shutdown().await;
    drop(run);
    let whole = Whole::read(&place.open().await, "A").await;
    for cut in 1..whole.journal.len() {
        let said = whole.entries(cut);
        if matches!(said.last(), Some(Entry::Concluded(_))) {
            continue;
        }
        let other = place.another();
        whole.plant(&other.open().await, cut).await;
        let world = World::default();
        let engine = engine(&other, &world).await;
        let run = engine.client().attach::<pays_thrice_and_gives_up>("A").await.unwrap();
        assert_eq!(run.outcome().await.unwrap(), Outcome::Failed(SagaError::GivesUp), "cut after {cut}");
        let began = said.iter().any(|entry| matches!(entry, Entry::UndoBegan(UndoCause::Failed { .. })));
        let undone = said.iter().filter(|entry| matches!(entry, Entry::UndoEnded(..))).count();
        let undos = world.log().iter().filter(|name| name.starts_with("undo")).count();
        assert_eq!(undos, 3 - undone, "cut after {cut}: {:?}, {began}", world.log());
        engine.shutdown().await;
    }
}
