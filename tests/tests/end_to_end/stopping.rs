//! Attempts that are told to stop, and have their time to do so.

use std::time::Duration;

use saga_runtime::prelude::*;
use saga_runtime::store::RunState;
use saga_tests::steps::{SagaError, book, pay, step};
use saga_tests::{Act, Place, World, engine, engine_with, on_each_store};

use crate::cutting::cut_everywhere;
use crate::journal::attempted;

#[workflow]
async fn pays_twice_and_stops(queue: Option<String>) -> Result<(), SagaError> {
    pay("a".to_owned()).await?;
    let call = pay("b".to_owned());
    match queue {
        Some(queue) => call.queue(queue).await?,
        None => call.await?,
    };
    Ok(())
}

#[workflow]
async fn books_and_stops() -> Result<(), SagaError> {
    pay("fee".to_owned()).await?;
    book("room".to_owned()).await?;
    Ok(())
}

#[workflow]
async fn races_and_stops() -> Result<String, SagaError> {
    let won = select! {
        slow = pay("slow".to_owned()) => slow?,
        quick = step("quick".to_owned()) => quick?,
    };
    step("after".to_owned()).await?;
    Ok(won)
}

#[workflow]
async fn leaves_a_step_behind() -> Result<String, SagaError> {
    Ok(select! {
        slow = step("slow".to_owned()) => slow?,
        quick = step("quick".to_owned()) => quick?,
    })
}

#[workflow]
async fn hurries() -> Result<String, SagaError> {
    Ok(step("step".to_owned()).timeout(Duration::from_millis(3)).retry(RetryPolicy::NONE).await?)
}

on_each_store!(
    nothing_is_undone_before_an_attempt_has_stopped,
    nothing_is_undone_before_an_attempt_on_a_queue_has_stopped,
    an_attempt_that_does_not_stop_is_dropped_after_the_grace,
    an_attempt_that_stops_early_has_its_output_undone,
    an_attempt_that_fails_when_it_is_told_is_attempted_again_and_not_told,
    a_shutdown_is_no_failure_of_an_attempt_that_heeds_it,
    an_output_that_comes_when_a_worker_shuts_down_counts,
    a_branch_that_is_let_go_stops_before_it_is_undone_while_the_workflow_goes_on,
    a_run_that_has_ended_does_not_wait_for_what_it_left_behind,
    a_shutdown_waits_for_what_ended_runs_have_left_behind,
    an_output_that_comes_after_the_timeout_and_in_the_grace_counts,
    a_run_that_lets_a_branch_go_ends_the_same_wherever_it_is_cut,
);

async fn nothing_is_undone_before_an_attempt_has_stopped(place: impl Place) {
    stops_first(&place, None).await;
}

async fn nothing_is_undone_before_an_attempt_on_a_queue_has_stopped(place: impl Place) {
    stops_first(&place, Some("far".to_owned())).await;
}

async fn stops_first(place: &impl Place, queue: Option<String>) {
    let world = World::default();
    world.plan("b", [Act::StopLater]);
    let engine = engine_with(place, &world, |builder| builder.queues(["far"])).await;
    let run = engine.client().start(pays_twice_and_stops(queue)).id("A").await.unwrap();
    world.began("b").await;
    run.cancel().await.unwrap();
    world.heard("told b").await;
    while run.view().await.unwrap().state != RunState::Undoing {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.log(), ["a", "b"], "it has not stopped yet");
    world.open("b");
    assert_eq!(run.outcome().await.unwrap(), Outcome::Cancelled);
    assert_eq!(world.log(), ["a", "b", "undo b", "undo a"]);
}

async fn an_attempt_that_does_not_stop_is_dropped_after_the_grace(place: impl Place) {
    let world = World::default();
    world.plan("b", [Act::StopLater]);
    let engine = engine_with(&place, &world, |builder| builder.grace(Duration::from_millis(5))).await;
    let run = engine.client().start(pays_twice_and_stops(None)).id("A").await.unwrap();
    world.began("b").await;
    run.cancel().await.unwrap();
    world.heard("told b").await;
    world.heard("dropped b").await;
    assert_eq!(run.outcome().await.unwrap(), Outcome::Cancelled);
    assert_eq!(world.log(), ["a", "b", "undo b", "undo a"]);
}

async fn an_attempt_that_stops_early_has_its_output_undone(place: impl Place) {
    let world = World::default();
    world.plan("room", [Act::StopLater]);
    let engine = engine_with(&place, &world, |builder| builder.grace(Duration::ZERO)).await;
    let run = engine.client().start(books_and_stops()).id("A").await.unwrap();
    world.began("room").await;
    run.cancel().await.unwrap();
    world.heard("told room").await;
    world.open("room");
    assert_eq!(run.outcome().await.unwrap(), Outcome::Cancelled);
    assert_eq!(world.log(), ["fee", "room", "undo room!", "undo fee"], "its undo needs its output: it is not dropped");
}

async fn an_attempt_that_fails_when_it_is_told_is_attempted_again_and_not_told(place: impl Place) {
    let world = World::default();
    world.plan("room", [Act::WaitForCancel, Act::StopLater]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(books_and_stops()).id("A").await.unwrap();
    world.began("room").await;
    run.cancel().await.unwrap();
    world.heard("told room").await;
    world.began("room").await;
    run.terminate(None).await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Terminated);
    assert_eq!(world.log(), ["fee", "room", "room"], "the second one waits to be told in vain");
}

async fn a_shutdown_is_no_failure_of_an_attempt_that_heeds_it(place: impl Place) {
    let world = World::default();
    world.plan("b", [Act::WaitForCancel]);
    let first = engine(&place, &world).await;
    first.client().start(pays_twice_and_stops(None)).id("A").await.unwrap();
    world.began("b").await;
    first.shutdown().await;
    world.heard("told b").await;
    let second = engine(&place, &world).await;
    let run = second.client().attach::<pays_twice_and_stops>("A").await.unwrap();
    run.result().await.unwrap();
    let attempts = world.attempts("b");
    assert_eq!(attempts.iter().map(|attempt| attempt.number).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(attempts[0].key, attempts[1].key);
    assert!(attempted(second.client(), "A").await.is_empty());
}

async fn an_output_that_comes_when_a_worker_shuts_down_counts(place: impl Place) {
    let world = World::default();
    world.plan("b", [Act::StopLater]);
    world.open("b");
    let first = engine(&place, &world).await;
    first.client().start(pays_twice_and_stops(None)).id("A").await.unwrap();
    world.began("b").await;
    first.shutdown().await;
    let second = engine(&place, &world).await;
    second.client().attach::<pays_twice_and_stops>("A").await.unwrap().result().await.unwrap();
    assert_eq!(world.log(), ["a", "b"]);
}

async fn a_branch_that_is_let_go_stops_before_it_is_undone_while_the_workflow_goes_on(place: impl Place) {
    let world = World::default();
    world.plan("slow", [Act::StopLater]);
    world.plan("quick", [Act::Wait]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(races_and_stops()).id("A").await.unwrap();
    world.began("slow").await;
    world.open("quick");
    world.heard("told slow").await;
    world.began("after").await;
    assert!(!world.log().contains(&"undo slow".to_owned()), "{:?}", world.log());
    world.open("slow");
    assert_eq!(run.result().await.unwrap(), "quick!");
    assert_eq!(world.log().last().unwrap(), "undo slow");
}

async fn a_run_that_has_ended_does_not_wait_for_what_it_left_behind(place: impl Place) {
    let world = World::default();
    world.plan("slow", [Act::StopLater]);
    world.plan("quick", [Act::Wait]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(leaves_a_step_behind()).id("A").await.unwrap();
    world.began("slow").await;
    world.open("quick");
    assert_eq!(run.result().await.unwrap(), "quick!");
    world.heard("told slow").await;
    world.open("slow");
    // It has its time to end by itself.
    while world.effects().len() < 2 {
        tokio::task::yield_now().await;
    }
}

async fn a_shutdown_waits_for_what_ended_runs_have_left_behind(place: impl Place) {
    let world = World::default();
    world.plan("slow", [Act::StopLater]);
    world.plan("quick", [Act::Wait]);
    let engine = engine_with(&place, &world, |builder| builder.grace(Duration::from_secs(3600))).await;
    let run = engine.client().start(leaves_a_step_behind()).id("A").await.unwrap();
    world.began("slow").await;
    world.open("quick");
    assert_eq!(run.result().await.unwrap(), "quick!");
    world.heard("told slow").await;
    let shutdown = engine.shutdown();
    tokio::pin!(shutdown);
    for _ in 0..100 {
        tokio::select! {
            biased;
            () = &mut shutdown => panic!("nobody waits for the attempt"),
            () = tokio::task::yield_now() => {}
        }
    }
    world.open("slow");
    shutdown.await;
    assert_eq!(world.effects().len(), 2);
}

async fn an_output_that_comes_after_the_timeout_and_in_the_grace_counts(place: impl Place) {
    let world = World::default();
    world.plan("step", [Act::StopLater]);
    world.open("step");
    let engine = engine(&place, &world).await;
    let run = engine.client().start(hurries()).id("A").await.unwrap();
    assert_eq!(run.result().await.unwrap(), "step!");
    world.heard("told step").await;
}

async fn a_run_that_lets_a_branch_go_ends_the_same_wherever_it_is_cut(place: impl Place) {
    let world = || {
        let world = World::default();
        world.plan("slow", [Act::WaitForCancel]);
        world
    };
    cut_everywhere::<races_and_stops>(&place, world, |client| client.start(races_and_stops())).await;
}
