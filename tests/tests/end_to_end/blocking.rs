//! Plain functions as activities: they block a thread of their own.

use std::time::Duration;

use saga_runtime::prelude::*;
use saga_runtime::store::wire::FailureKind;
use saga_tests::steps::{SagaError, step, undo_step};
use saga_tests::{Act, Place, StepError, World, engine, engine_with, on_each_store};
use tokio::runtime::Handle;

use crate::cutting::cut_everywhere;
use crate::journal::attempted;

/// Blocks its thread until it has done what the test planned.
#[activity(retry(initial = "1ms", max = "2ms"), compensate = undo_press(name))]
fn press(#[state] world: &World, #[context] cx: &ActivityContext, name: String) -> Result<String, StepError> {
    Handle::current().block_on(world.attempt(cx, &name))
}

/// Undoes [`press`], on a thread as well.
#[activity(retry(initial = "1ms", max = "2ms"))]
fn undo_press(#[state] world: &World, #[context] cx: &ActivityContext, name: String) -> Result<(), StepError> {
    Handle::current().block_on(world.attempt(cx, &format!("undo {name}"))).map(drop)
}

/// Asks now and then whether it is to stop.
#[activity(compensate = undo_step(name))]
fn grind(#[state] world: &World, #[context] cx: &ActivityContext, name: String) -> Result<(), StepError> {
    world.signal(&format!("began {name}"));
    while !cx.is_cancelled() {
        std::thread::yield_now();
    }
    world.signal(&format!("told {name}"));
    Err(StepError::Refused)
}

#[workflow]
async fn presses(fails: bool) -> Result<String, SagaError> {
    let first = press("first".to_owned()).await?;
    let (pressed, quick) = join!(press("slow".to_owned()), step("quick".to_owned())).await;
    if fails {
        step("fails".to_owned()).await?;
    }
    Ok(format!("{first} {} {}", pressed?, quick?))
}

#[workflow]
async fn presses_once(timeout: u64) -> Result<String, SagaError> {
    Ok(press("once".to_owned()).timeout(Duration::from_millis(timeout)).await?)
}

#[workflow]
async fn grinds() -> Result<(), SagaError> {
    Ok(grind("grind".to_owned()).await?)
}

const LONG: u64 = 60_000;

on_each_store!(
    a_plain_function_holds_up_nobody_and_is_undone_as_others_are,
    its_errors_and_panics_are_those_of_an_attempt,
    it_is_told_when_its_time_is_over_and_its_output_in_the_grace_counts,
    it_is_left_alone_when_it_does_not_stop_in_the_grace,
    it_can_ask_whether_its_run_is_cancelled,
    a_run_of_plain_functions_ends_the_same_wherever_it_is_cut,
);

async fn a_plain_function_holds_up_nobody_and_is_undone_as_others_are(place: impl Place) {
    let world = World::default();
    world.plan("slow", [Act::Wait]);
    world.plan("fails", [Act::Decline]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(presses(true)).id("A").await.unwrap();
    world.began("slow").await;
    world.began("quick").await;
    world.open("slow");
    let failed = Outcome::Failed(SagaError::Step(ActivityError::Failed(StepError::Declined)));
    assert_eq!(run.outcome().await.unwrap(), failed);
    let log = world.log();
    assert_eq!(log[log.len() - 2..], ["undo slow", "undo first"]);
}

async fn its_errors_and_panics_are_those_of_an_attempt(place: impl Place) {
    let world = World::default();
    world.plan("once", [Act::Lose, Act::Panic]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(presses_once(LONG)).id("A").await.unwrap();
    assert_eq!(run.result().await.unwrap(), "once!");
    let failed = attempted(engine.client(), "A").await;
    let failed: Vec<_> = failed.iter().map(|failed| (failed.failure.kind, failed.failure.message.as_str())).collect();
    assert_eq!(failed, [(FailureKind::Returned, "the answer was lost"), (FailureKind::Panicked, "once fell over")]);
}

async fn it_is_told_when_its_time_is_over_and_its_output_in_the_grace_counts(place: impl Place) {
    let world = World::default();
    world.plan("once", [Act::StopLater]);
    world.open("once");
    let engine = engine(&place, &world).await;
    let run = engine.client().start(presses_once(3)).id("A").await.unwrap();
    assert_eq!(run.result().await.unwrap(), "once!");
    world.heard("told once").await;
    assert_eq!(world.log(), ["once"]);
}

async fn it_is_left_alone_when_it_does_not_stop_in_the_grace(place: impl Place) {
    let world = World::default();
    world.plan("once", [Act::Wait]);
    let engine = engine_with(&place, &world, |builder| builder.grace(Duration::from_millis(3))).await;
    let run = engine.client().start(presses_once(LONG)).id("A").await.unwrap();
    world.began("once").await;
    run.cancel().await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Cancelled);
    assert_eq!(world.log(), ["once", "undo once"]);
    // Its thread is still there, and nobody asks what it returns.
    world.open("once");
}

async fn it_can_ask_whether_its_run_is_cancelled(place: impl Place) {
    let world = World::default();
    let engine = engine(&place, &world).await;
    let run = engine.client().start(grinds()).id("A").await.unwrap();
    world.began("grind").await;
    run.cancel().await.unwrap();
    world.heard("told grind").await;
    assert_eq!(run.outcome().await.unwrap(), Outcome::Cancelled);
    assert_eq!(world.log(), ["undo grind"]);
}

async fn a_run_of_plain_functions_ends_the_same_wherever_it_is_cut(place: impl Place) {
    let world = || {
        let world = World::default();
        world.plan("slow", [Act::Lose]);
        world.plan("fails", [Act::Decline; 2]);
        world.plan("undo first", [Act::Lose]);
        world
    };
    cut_everywhere::<presses>(&place, world, |client| client.start(presses(true))).await;
}
