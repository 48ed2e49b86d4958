//! What a new engine makes of the runs of one that is gone.

use std::time::Duration;

use saga_runtime::prelude::*;
use saga_runtime::store::RunState;
use saga_tests::steps::{SagaError, book, pay, step};
use saga_tests::{Act, Place, World, engine, engine_with, on_each_store};

#[workflow]
async fn three_steps() -> Result<String, SagaError> {
    let first = pay("first".to_owned()).await?;
    let second = book("second".to_owned()).await?;
    let third = step("third".to_owned()).await?;
    Ok(format!("{first} {second} {third}"))
}

#[workflow]
async fn gives_up_in_the_end() -> Result<(), SagaError> {
    pay("first".to_owned()).await?;
    book("second".to_owned()).await?;
    Err(SagaError::GivesUp)
}

on_each_store!(
    after_a_crash_only_the_open_step_is_attempted_again,
    an_undo_goes_on_after_a_crash,
    a_run_survives_any_number_of_crashes,
    a_retry_that_waits_is_made_after_the_restart,
    a_shutdown_lets_attempts_end_and_repeats_none,
    a_shutdown_hands_runs_over_at_once,
);

async fn after_a_crash_only_the_open_step_is_attempted_again(place: impl Place) {
    let world = World::default();
    world.plan("second", [Act::Hang]);
    let first = engine(&place, &world).await;
    first.client().start(three_steps()).id("A").await.unwrap();
    world.began("second").await;
    drop(first);
    let second = engine(&place, &world).await;
    let run = second.client().attach::<three_steps>("A").await.unwrap();
    assert_eq!(run.result().await.unwrap(), "first! second! third!");
    assert_eq!(world.log(), ["first", "second", "second", "third"]);
    let attempts = world.attempts("second");
    assert_eq!(attempts[0].key, attempts[1].key);
}

async fn an_undo_goes_on_after_a_crash(place: impl Place) {
    let world = World::default();
    world.plan("undo second!", [Act::Hang]);
    world.plan("undo first", [Act::Hang]);
    let mut current = engine(&place, &world).await;
    current.client().start(gives_up_in_the_end()).id("A").await.unwrap();
    for undo in ["undo second!", "undo first"] {
        world.began(undo).await;
        drop(current);
        current = engine(&place, &world).await;
        world.began(undo).await;
    }
    let run = current.client().attach::<gives_up_in_the_end>("A").await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Failed(SagaError::GivesUp));
    assert_eq!(world.log(), ["first", "second", "undo second!", "undo second!", "undo first", "undo first"]);
    let attempts = world.attempts("undo first");
    assert_eq!(attempts[0].key, attempts[1].key);
}

async fn a_run_survives_any_number_of_crashes(place: impl Place) {
    let world = World::default();
    for name in ["first", "second", "third"] {
        world.plan(name, [Act::Hang; 3]);
    }
    let mut current = engine(&place, &world).await;
    current.client().start(three_steps()).id("A").await.unwrap();
    for name in ["first", "second", "third"] {
        for _ in 0..3 {
            world.began(name).await;
            drop(current);
            current = engine(&place, &world).await;
        }
        world.began(name).await;
    }
    let run = current.client().attach::<three_steps>("A").await.unwrap();
    assert_eq!(run.result().await.unwrap(), "first! second! third!");
    assert_eq!(world.log().len(), 12);
    assert_eq!(world.effects().len(), 3);
}

async fn a_retry_that_waits_is_made_after_the_restart(place: impl Place) {
    let world = World::default();
    world.plan("first", [Act::Postpone(Duration::from_secs(3600))]);
    let first = engine(&place, &world).await;
    let run = first.client().start(three_steps()).id("A").await.unwrap();
    while crate::journal::attempted(first.client(), "A").await.is_empty() {
        tokio::task::yield_now().await;
    }
    drop((run, first));
    let second = engine(&place, &world).await;
    let run = second.client().attach::<three_steps>("A").await.unwrap();
    run.cancel().await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Cancelled);
    assert_eq!(world.log()[0], "first");
    assert_eq!(world.attempts("first").len(), 1, "an hour was not over: {:?}", world.log());
}

async fn a_shutdown_lets_attempts_end_and_repeats_none(place: impl Place) {
    let world = World::default();
    world.plan("second", [Act::Wait]);
    // Waiting for the grace to be over would be noticed.
    let first = engine_with(&place, &world, |builder| builder.grace(Duration::from_secs(3600))).await;
    first.client().start(three_steps()).id("A").await.unwrap();
    world.began("second").await;
    let shutdown = tokio::spawn(first.shutdown());
    world.open("second");
    shutdown.await.unwrap();
    let second = engine(&place, &world).await;
    let run = second.client().attach::<three_steps>("A").await.unwrap();
    assert_eq!(run.result().await.unwrap(), "first! second! third!");
    assert_eq!(world.log(), ["first", "second", "third"]);
}

async fn a_shutdown_hands_runs_over_at_once(place: impl Place) {
    let world = World::default();
    world.plan("second", [Act::Hang]);
    let store = place.open().await;
    let build = || Engine::builder(store.clone()).state(world.clone()).grace(Duration::ZERO);
    let first = build().start().await.unwrap();
    first.client().start(three_steps()).id("A").await.unwrap();
    world.began("second").await;
    let second = build().start().await.unwrap();
    assert_eq!(second.client().get("A").await.unwrap().state, RunState::Running);
    first.shutdown().await;
    let run = second.client().attach::<three_steps>("A").await.unwrap();
    assert_eq!(run.result().await.unwrap(), "first! second! third!");
    assert_eq!(world.log(), ["first", "second", "second", "third"]);
}
