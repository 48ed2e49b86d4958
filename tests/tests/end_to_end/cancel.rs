//! Cancelling: the run is dropped at its await, and its steps are undone.

use std::time::Duration;

use saga_runtime::Client;
use saga_runtime::prelude::*;
use saga_runtime::store::RunState;
use saga_runtime::store::wire::Conclusion;
use saga_tests::steps::{SagaError, book, pay, step};
use saga_tests::{Act, Place, World, engine, on_each_store};

#[workflow]
async fn pays_twice() -> Result<(), SagaError> {
    pay("a".to_owned()).await?;
    pay("b".to_owned()).await?;
    Ok(())
}

#[workflow]
async fn books_after_paying() -> Result<(), SagaError> {
    pay("fee".to_owned()).await?;
    book("room".to_owned()).await?;
    Ok(())
}

#[workflow]
async fn sleeps_a_day() -> Result<(), SagaError> {
    pay("bed".to_owned()).await?;
    sleep(Duration::from_secs(86_400)).await;
    step("breakfast".to_owned()).await?;
    Ok(())
}

on_each_store!(
    a_cancelled_run_drops_its_attempt_and_undoes_its_steps,
    an_attempt_is_told_that_its_run_is_cancelled,
    an_attempt_whose_output_the_undo_needs_may_end_first,
    a_cancel_during_the_undo_does_not_stop_it,
    a_run_that_sleeps_a_day_is_out_of_memory_and_can_be_cancelled,
    a_run_can_be_cancelled_before_any_engine_took_it,
    cancelling_what_is_not_there_or_has_ended_is_an_error,
);

async fn a_cancelled_run_drops_its_attempt_and_undoes_its_steps(place: impl Place) {
    let world = World::default();
    world.plan("b", [Act::Hang]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(pays_twice()).id("A").await.unwrap();
    world.began("b").await;
    engine.client().cancel_because("A", "changed my mind".to_owned()).await.unwrap();
    world.heard("dropped b").await;
    assert_eq!(run.outcome().await.unwrap(), Outcome::Cancelled);
    assert_eq!(world.log(), ["a", "b", "undo b", "undo a"], "what b did is not known");
    let details = engine.client().show("A").await.unwrap();
    assert_eq!(details.view.state, RunState::Cancelled);
    let Some(Conclusion::Cancelled(request)) = details.conclusion else { panic!("not cancelled") };
    assert_eq!(request.reason.as_deref(), Some("changed my mind"));
}

async fn an_attempt_is_told_that_its_run_is_cancelled(place: impl Place) {
    let world = World::default();
    world.plan("b", [Act::WaitForCancel]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(pays_twice()).id("A").await.unwrap();
    world.began("b").await;
    run.cancel().await.unwrap();
    world.heard("told b").await;
    assert_eq!(run.outcome().await.unwrap(), Outcome::Cancelled);
}

async fn an_attempt_whose_output_the_undo_needs_may_end_first(place: impl Place) {
    let world = World::default();
    world.plan("room", [Act::Wait]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(books_after_paying()).id("A").await.unwrap();
    world.began("room").await;
    run.cancel().await.unwrap();
    while run.view().await.unwrap().state != RunState::Undoing {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.log(), ["fee", "room"]);
    world.open("room");
    assert_eq!(run.outcome().await.unwrap(), Outcome::Cancelled);
    assert_eq!(world.log(), ["fee", "room", "undo room!", "undo fee"]);
}

async fn a_cancel_during_the_undo_does_not_stop_it(place: impl Place) {
    #[workflow]
    async fn gives_up_after_paying() -> Result<(), SagaError> {
        pay("a".to_owned()).await?;
        pay("b".to_owned()).await?;
        Err(SagaError::GivesUp)
    }
    let world = World::default();
    world.plan("undo b", [Act::Wait]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(gives_up_after_paying()).id("A").await.unwrap();
    world.began("undo b").await;
    run.cancel().await.unwrap();
    world.open("undo b");
    assert_eq!(run.outcome().await.unwrap(), Outcome::Failed(SagaError::GivesUp));
    assert_eq!(world.log(), ["a", "b", "undo b", "undo a"]);
}

async fn a_run_that_sleeps_a_day_is_out_of_memory_and_can_be_cancelled(place: impl Place) {
    let world = World::default();
    let engine = engine(&place, &world).await;
    let run = engine.client().start(sleeps_a_day()).id("A").await.unwrap();
    while run.view().await.unwrap().state != RunState::Waiting {
        tokio::task::yield_now().await;
    }
    run.cancel().await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Cancelled);
    assert_eq!(world.log(), ["bed", "undo bed"]);
}

async fn a_run_can_be_cancelled_before_any_engine_took_it(place: impl Place) {
    let world = World::default();
    let client = Client::new(place.open().await);
    client.start(pays_twice()).id("A").await.unwrap().cancel().await.unwrap();
    assert_eq!(client.get("A").await.unwrap().state, RunState::Pending);
    drop(client);
    let engine = engine(&place, &world).await;
    let run = engine.client().attach::<pays_twice>("A").await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Cancelled);
    assert!(world.log().is_empty(), "no attempt was made");
}

async fn cancelling_what_is_not_there_or_has_ended_is_an_error(place: impl Place) {
    let engine = engine(&place, &World::default()).await;
    let error = engine.client().cancel("nobody").await.unwrap_err();
    assert!(error.is_no_run());
    assert_eq!(error.to_string(), "no run has the id nobody");
    let run = engine.client().start(pays_twice()).id("A").await.unwrap();
    run.result().await.unwrap();
    for error in [run.cancel().await.unwrap_err(), engine.client().cancel("A").await.unwrap_err()] {
        assert_eq!(error.to_string(), "run A has ended");
    }
}
