//! Sagas within the saga.

use saga_runtime::prelude::*;
use saga_runtime::store::wire::Entry;
use saga_tests::steps::{SagaError, book, pay, step};
use saga_tests::{Act, Place, World, engine, on_each_store};

use crate::journal::entries;

on_each_store!(
    a_nested_saga_that_fails_is_undone_before_the_workflow_goes_on,
    a_nested_saga_that_succeeds_is_undone_with_the_whole,
    the_undo_of_a_nested_saga_goes_on_after_a_restart,
    a_cancel_during_the_undo_of_a_nested_saga_undoes_the_whole,
    a_nested_saga_that_did_nothing_fails_at_once,
    an_undo_added_by_hand_runs_in_its_place,
);

/// Pays a fee, tries the trip, and stays at home if there is none; then fails if it is told to.
#[workflow]
async fn trip(fails: bool) -> Result<String, SagaError> {
    pay("fee".to_owned()).await?;
    let tried = attempt(async {
        pay("flight".to_owned()).await?;
        book("hotel".to_owned()).await?;
        step("car".to_owned()).await?;
        Ok::<_, SagaError>(())
    })
    .await;
    let says = if tried.is_ok() { "goes" } else { "stays" };
    step(says.to_owned()).await?;
    if fails { Err(SagaError::GivesUp) } else { Ok(says.to_owned()) }
}

async fn a_nested_saga_that_fails_is_undone_before_the_workflow_goes_on(place: impl Place) {
    let world = World::default();
    world.plan("car", [Act::Decline]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(trip(false)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "stays");
    assert_eq!(world.log(), ["fee", "flight", "hotel", "car", "undo hotel!", "undo flight", "stays"]);
}

async fn a_nested_saga_that_succeeds_is_undone_with_the_whole(place: impl Place) {
    let world = World::default();
    let engine = engine(&place, &world).await;
    let run = engine.client().start(trip(true)).await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Failed(SagaError::GivesUp));
    assert_eq!(world.log(), ["fee", "flight", "hotel", "car", "goes", "undo hotel!", "undo flight", "undo fee"]);
}

async fn the_undo_of_a_nested_saga_goes_on_after_a_restart(place: impl Place) {
    let world = World::default();
    world.plan("car", [Act::Decline]);
    world.plan("undo flight", [Act::Hang]);
    let first = engine(&place, &world).await;
    first.client().start(trip(false)).id("A").await.unwrap();
    world.began("undo flight").await;
    drop(first);
    let second = engine(&place, &world).await;
    let run = second.client().attach::<trip>("A").await.unwrap();
    assert_eq!(run.result().await.unwrap(), "stays");
    assert_eq!(world.attempts("undo hotel!").len(), 1, "what was undone is not undone again");
    assert_eq!(world.log().last().unwrap(), "stays");
    assert!(world.attempts("undo fee").is_empty());
}

async fn a_cancel_during_the_undo_of_a_nested_saga_undoes_the_whole(place: impl Place) {
    let world = World::default();
    world.plan("car", [Act::Decline]);
    world.plan("undo flight", [Act::Wait]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(trip(false)).id("A").await.unwrap();
    world.began("undo flight").await;
    run.cancel().await.unwrap();
    while !entries(engine.client(), "A").await.iter().any(|entry| matches!(entry, Entry::CancelRequested(_))) {
        tokio::task::yield_now().await;
    }
    world.open("undo flight");
    assert_eq!(run.outcome().await.unwrap(), Outcome::Cancelled);
    assert_eq!(world.log().last().unwrap(), "undo fee");
    assert_eq!(world.attempts("undo flight").len(), 1, "the undo that was under way went on");
}

async fn a_nested_saga_that_did_nothing_fails_at_once(place: impl Place) {
    #[workflow]
    async fn tries_nothing() -> Result<bool, SagaError> {
        let tried = attempt(async { Err::<(), _>(SagaError::GivesUp) }).await;
        Ok(tried.is_err())
    }
    let world = World::default();
    let engine = engine(&place, &world).await;
    let run = engine.client().start(tries_nothing()).id("A").await.unwrap();
    assert!(run.result().await.unwrap());
    assert_eq!(engine.client().show("A").await.unwrap().records.len(), 2, "it leaves no trace");
}

/// Adds an undo by hand between two payments.
#[workflow]
async fn adds_an_undo() -> Result<(), SagaError> {
    pay("first".to_owned()).await?;
    undo(step("by hand".to_owned()));
    pay("second".to_owned()).await?;
    Err(SagaError::GivesUp)
}

async fn an_undo_added_by_hand_runs_in_its_place(place: impl Place) {
    let world = World::default();
    world.plan("by hand", [Act::Lose]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(adds_an_undo()).await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Failed(SagaError::GivesUp));
    assert_eq!(world.log(), ["first", "second", "undo second", "by hand", "by hand", "undo first"]);
    let keys: std::collections::BTreeSet<_> =
        world.attempts("by hand").into_iter().map(|by_hand| by_hand.key).collect();
    assert_eq!(keys.len(), 1);
}
