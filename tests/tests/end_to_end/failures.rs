//! Timeouts, panics, values that cannot be recorded, and code that a run does not fit.

use std::time::Duration;

use saga_runtime::prelude::*;
use saga_runtime::store::wire::{Entry, OpId, Payload, Record, RunStarted, StepScheduled, UndoPlan};
use saga_runtime::store::{ExecutionId, NewRun, Nonce, OnExisting, RunId, RunState, Started, Store, Timestamp};
use saga_tests::steps::{SagaError, step};
use saga_tests::{Act, Place, World, engine, engine_with, on_each_store};

use crate::journal::entries;

#[activity(timeout = "2ms", retry(max_attempts = 2, initial = "1ms"))]
async fn slow(#[state] world: &World, #[context] cx: &ActivityContext) -> Result<String, saga_tests::StepError> {
    world.attempt(cx, "slow").await
}

#[workflow]
async fn is_slow() -> Result<String, SagaError> {
    Ok(slow().await?)
}

#[workflow]
async fn one_step(name: String) -> Result<String, SagaError> {
    Ok(step(name).await?)
}

#[workflow]
async fn panics(after: String) -> Result<(), SagaError> {
    step(after).await?;
    panic!("it was a Monday");
}

/// Hides an await from the macro.
macro_rules! elsewhere {
    ($future:expr) => {
        $future.await
    };
}

fn yielding() -> impl Future<Output = ()> {
    tokio::task::yield_now()
}

#[workflow]
async fn awaits_something_foreign() -> Result<(), SagaError> {
    elsewhere!(yielding());
    Ok(())
}

#[workflow]
async fn awaits_what_never_comes() -> Result<(), SagaError> {
    elsewhere!(std::future::pending::<()>());
    Ok(())
}

/// One that awaits on its own, as many crates have them.
macro_rules! both {
    ($first:expr, $second:expr) => {
        tokio::join!($first, $second)
    };
}

fn in_the_background() -> tokio::task::JoinHandle<()> {
    tokio::spawn(std::future::pending())
}

#[workflow]
async fn polls_by_hand() -> Result<(), SagaError> {
    sleep(Duration::from_millis(1)).await;
    elsewhere!(std::future::poll_fn(|_| std::task::Poll::<()>::Pending));
    Ok(())
}

#[workflow]
async fn awaits_a_spawned_task() -> Result<(), SagaError> {
    drop(elsewhere!(in_the_background()));
    Ok(())
}

#[workflow]
async fn joins_by_a_foreign_macro() -> Result<(), SagaError> {
    both!(yielding(), yielding());
    Ok(())
}

on_each_store!(
    a_timed_out_attempt_is_repeated_and_named,
    a_panicking_activity_is_repeated_and_then_named,
    a_panicking_workflow_is_dead_and_its_neighbours_go_on,
    awaiting_something_foreign_is_dead_and_does_not_hang,
    an_input_that_does_not_decode_is_dead,
    a_journal_that_does_not_match_the_code_is_dead,
    an_input_over_the_limit_is_an_error_of_the_start,
    an_output_over_the_limit_is_an_error_of_the_step,
    a_result_over_the_limit_is_dead,
    a_history_that_reaches_its_limit_makes_the_run_dead,
);

/// Puts a run into the store as another program might have.
async fn plant(store: &impl Store, workflow: &str, input: &str, more: Vec<Entry>) -> RunId {
    let id = RunId::new("planted").unwrap();
    let now = Timestamp::from_system_clock();
    let started = RunStarted {
        workflow: workflow.to_owned(),
        version: 1,
        id: id.as_str().to_owned(),
        input: Payload::json(input.to_owned()),
        seed: 1,
        terms: None,
        parent: None,
    };
    let entries = std::iter::once(Entry::Started(Box::new(started))).chain(more).collect();
    let new = NewRun {
        id: id.clone(),
        execution: ExecutionId::generate(now, &[7; 10]),
        workflow: workflow.to_owned(),
        version: 1,
        lane: String::new(),
        priority: 0,
        not_before: None,
        attributes: Vec::new(),
        memo: None,
        input_digest: 0,
        first: Record::new(now, entries).to_bytes(),
        nonce: Nonce(1),
        blobs: Vec::new(),
        messages: Vec::new(),
        claim_for: None,
        on_existing: OnExisting::Return,
    };
    assert_eq!(store.start(vec![new]).await.unwrap(), [Started::New]);
    id
}

/// The line of this file that says this.
fn line_of(text: &str) -> usize {
    include_str!("failures.rs").lines().position(|line| line.contains(text)).map_or(0, |at| at + 1)
}

fn death_of<T, E>(outcome: Outcome<T, E>) -> String {
    match outcome {
        Outcome::Dead(reason) => reason,
        _ => panic!("the run is not dead"),
    }
}

async fn a_timed_out_attempt_is_repeated_and_named(place: impl Place) {
    let world = World::default();
    world.plan("slow", [Act::Hang, Act::Hang]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(is_slow()).id("A").await.unwrap();
    let Outcome::Failed(SagaError::Step(ActivityError::TimedOut(message))) = run.outcome().await.unwrap() else {
        panic!("not a timeout");
    };
    assert_eq!(message, "`slow` timed out after 2ms (after 2 attempts)", "it is not the default, and is not called so");
    assert_eq!(world.log(), ["slow", "slow"]);
}

async fn a_panicking_activity_is_repeated_and_then_named(place: impl Place) {
    let world = World::default();
    world.plan("tripped", [Act::Panic; 5]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(one_step("tripped".to_owned())).id("A").await.unwrap();
    let Outcome::Failed(SagaError::Step(ActivityError::Panicked(message))) = run.outcome().await.unwrap() else {
        panic!("not a panic");
    };
    assert_eq!(message, "tripped fell over (after 5 attempts)");
}

async fn a_panicking_workflow_is_dead_and_its_neighbours_go_on(place: impl Place) {
    let world = World::default();
    world.plan("neighbour", [Act::Wait]);
    let engine = engine(&place, &world).await;
    let neighbour = engine.client().start(one_step("neighbour".to_owned())).id("N").await.unwrap();
    world.began("neighbour").await;
    let run = engine.client().start(panics("before".to_owned())).id("MONDAY").await.unwrap();
    let reason = death_of(run.outcome().await.unwrap());
    assert_eq!(reason, "the workflow panicked: it was a Monday (workflow `panics`, run MONDAY)");
    assert_eq!(run.view().await.unwrap().state, RunState::Dead);
    assert!(entries(engine.client(), "MONDAY").await.len() >= 4, "its journal is intact");
    world.open("neighbour");
    assert_eq!(neighbour.result().await.unwrap(), "neighbour!");
}

async fn awaiting_something_foreign_is_dead_and_does_not_hang(place: impl Place) {
    let engine = engine(&place, &World::default()).await;
    let run = engine.client().start(awaits_something_foreign()).id("A").await.unwrap();
    let reason = death_of(run.outcome().await.unwrap());
    assert!(reason.contains("not durable") && reason.contains("move it into an activity"), "{reason}");
    assert!(reason.contains("before its first durable await"), "{reason}");
    for run in [
        engine.client().start(awaits_a_spawned_task()).id("T").await.unwrap().outcome().await.unwrap(),
        engine.client().start(joins_by_a_foreign_macro()).id("M").await.unwrap().outcome().await.unwrap(),
    ] {
        let reason = death_of(run);
        assert!(reason.contains("a foreign future took its waker"), "{reason}");
    }
    let run = engine.client().start(polls_by_hand()).id("P").await.unwrap();
    let reason = death_of(run.outcome().await.unwrap());
    let stands = format!("failures.rs:{}", line_of("sleep(Duration::from_millis(1)).await"));
    assert!(reason.contains("no durable operation") && reason.contains(&stands), "{reason}");
    let run = engine.client().start(awaits_what_never_comes()).id("B").await.unwrap();
    let reason = death_of(run.outcome().await.unwrap());
    assert!(reason.contains("no durable operation") && reason.contains("run B"), "{reason}");
}

async fn an_input_that_does_not_decode_is_dead(place: impl Place) {
    let world = World::default();
    let id = plant(&place.open().await, "one_step", r#"{"name":7}"#, Vec::new()).await;
    let engine = engine(&place, &world).await;
    let run = engine.client().attach::<one_step>(id.as_str()).await.unwrap();
    let reason = death_of(run.outcome().await.unwrap());
    assert!(reason.contains("`one_step` cannot read its recorded input"), "{reason}");
    assert!(reason.contains("invalid type: integer `7`") && reason.contains("run planted"), "{reason}");
    assert!(world.log().is_empty());
}

async fn a_journal_that_does_not_match_the_code_is_dead(place: impl Place) {
    let world = World::default();
    let other = Entry::StepScheduled(StepScheduled {
        op: OpId::root().child(0),
        activity: "ship".to_owned(),
        input: Payload::json("{}"),
        undo: UndoPlan::Nothing,
        deadline: None,
        errand: None,
        at_call: None,
    });
    let id = plant(&place.open().await, "one_step", r#"{"name":"x"}"#, vec![other]).await;
    let engine = engine(&place, &world).await;
    let run = engine.client().attach::<one_step>(id.as_str()).await.unwrap();
    let reason = death_of(run.outcome().await.unwrap());
    assert!(reason.contains("recorded activity `ship`"), "{reason}");
    let attempted = format!(
        "the code now does activity `step` at 0 (tests/tests/end_to_end/failures.rs:{})",
        line_of("(step(name)")
    );
    assert!(reason.contains(&attempted) && reason.contains("run planted"), "{reason}");
    assert!(world.log().is_empty());
}

async fn an_input_over_the_limit_is_an_error_of_the_start(place: impl Place) {
    let engine = engine(&place, &World::default()).await;
    let large = "x".repeat(saga_runtime::PAYLOAD_LIMIT);
    let error = engine.client().start(one_step(large)).id("A").await.unwrap_err().to_string();
    assert!(error.contains("the limit is 2097152") && error.contains("one_step"), "{error}");
    assert!(engine.client().get("A").await.unwrap_err().is_no_run());
}

async fn an_output_over_the_limit_is_an_error_of_the_step(place: impl Place) {
    let world = World::default();
    world.plan("large", [Act::Fill(saga_runtime::PAYLOAD_LIMIT); 5]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(one_step("large".to_owned())).id("A").await.unwrap();
    let Outcome::Failed(SagaError::Step(ActivityError::Payload(message))) = run.outcome().await.unwrap() else {
        panic!("not an error of the step");
    };
    assert!(
        message.contains("the output of `step` cannot be recorded") && message.contains("the limit is"),
        "{message}"
    );
}

async fn a_result_over_the_limit_is_dead(place: impl Place) {
    #[workflow]
    async fn returns_too_much() -> Result<String, SagaError> {
        Ok("x".repeat(saga_runtime::PAYLOAD_LIMIT))
    }
    let engine = engine(&place, &World::default()).await;
    let run = engine.client().start(returns_too_much()).id("A").await.unwrap();
    let reason = death_of(run.outcome().await.unwrap());
    assert!(reason.contains("the workflow's result cannot be recorded"), "{reason}");
}

#[activity(retry(max_attempts = 1))]
async fn patient(#[state] world: &World, #[context] cx: &ActivityContext) -> Result<String, saga_tests::StepError> {
    world.attempt(cx, "patient").await
}

#[workflow]
async fn is_patient() -> Result<String, SagaError> {
    Ok(patient().await?)
}

/// The clock of tokio stands still and jumps, so that the default 30 s take no time. Only the
/// store in memory allows that: it does not wait for another thread.
#[tokio::test(start_paused = true)]
async fn the_default_timeout_is_called_the_default() {
    let world = World::default();
    world.plan("patient", [Act::Hang]);
    let engine = engine(&saga_tests::InMemory::default(), &world).await;
    let run = engine.client().start(is_patient()).id("A").await.unwrap();
    let Outcome::Failed(SagaError::Step(ActivityError::TimedOut(message))) = run.outcome().await.unwrap() else {
        panic!("not a timeout");
    };
    assert_eq!(message, "`patient` timed out after 30s, the default; set `timeout`");
}

/// Steps without end.
#[workflow]
async fn never_ends() -> Result<(), SagaError> {
    loop {
        step("again".to_owned()).await?;
    }
}

async fn a_history_that_reaches_its_limit_makes_the_run_dead(place: impl Place) {
    let world = World::default();
    let engine = engine_with(&place, &world, |builder| builder.max_history(50)).await;
    let run = engine.client().start(never_ends()).id("A").await.unwrap();
    let Outcome::Dead(reason) = run.outcome().await.unwrap() else { panic!("it goes on") };
    assert!(reason.contains("the limit is 50"), "{reason}");
    let records = engine.client().show("A").await.unwrap().records;
    assert_eq!(records.len(), 51, "the journal is intact, and the last record says why it ended");
}
