//! Heartbeats: a later attempt is told how far an earlier one was.

use saga_runtime::prelude::*;
use saga_runtime::store::wire::{Entry, FailureKind, Payload};
use saga_tests::steps::SagaError;
use saga_tests::{Act, Place, StepError, World, engine, engine_with, on_each_store};

use crate::cutting::cut_everywhere;
use crate::journal::{attempted, entries};
use crate::planted::Whole;

const ROWS: u32 = 4;

/// Copies rows, beginning where the last attempt stood; says where it began.
#[activity(retry(initial = "1ms", max = "2ms"), compensate = delete(name))]
async fn copy(#[state] world: &World, #[context] cx: &ActivityContext, name: String) -> Result<u32, StepError> {
    rows(world, cx, "copy", &name).await
}

/// Undoes [`copy`].
#[activity(retry(initial = "1ms", max = "2ms"))]
async fn delete(#[state] world: &World, #[context] cx: &ActivityContext, name: String) -> Result<u32, StepError> {
    rows(world, cx, "delete", &name).await
}

async fn rows(world: &World, cx: &ActivityContext, what: &str, name: &str) -> Result<u32, StepError> {
    let first = cx.progress::<u32>().expect("it is a number").unwrap_or(0);
    world.signal(&format!("{what} {name} from {first}"));
    for row in first..ROWS {
        world.attempt(cx, &format!("{what} {name} {row}")).await?;
        cx.heartbeat(&(row + 1)).expect("a number can be recorded");
    }
    Ok(first)
}

/// Says nothing while it waits.
#[activity(heartbeat = "3ms", retry(max_attempts = 2, initial = "1ms"))]
async fn silent(#[state] world: &World, #[context] cx: &ActivityContext) -> Result<String, StepError> {
    world.attempt(cx, "silent").await
}

#[workflow]
async fn copies(queue: Option<String>) -> Result<u32, SagaError> {
    let call = copy("a".to_owned());
    Ok(match queue {
        Some(queue) => call.queue(queue).await?,
        None => call.await?,
    })
}

#[workflow]
async fn copies_in_vain() -> Result<(), SagaError> {
    copy("a".to_owned()).await?;
    copy("b".to_owned()).await?;
    Err(SagaError::GivesUp)
}

#[workflow]
async fn is_silent() -> Result<String, SagaError> {
    Ok(silent().await?)
}

on_each_store!(
    a_later_attempt_begins_where_the_last_one_stood,
    an_undo_is_told_of_its_own_progress_and_of_no_other,
    an_attempt_on_a_queue_is_told_as_well,
    progress_outlives_the_worker,
    an_attempt_that_is_silent_too_long_times_out,
    a_run_cut_after_any_record_goes_on_where_its_attempt_stood,
    a_run_that_tells_of_progress_ends_the_same_wherever_it_is_cut,
);

async fn a_later_attempt_begins_where_the_last_one_stood(place: impl Place) {
    let world = World::default();
    world.plan("copy a 2", [Act::Lose, Act::Refuse]);
    world.plan("copy a 3", [Act::Panic]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(copies(None)).id("A").await.unwrap();
    assert_eq!(run.result().await.unwrap(), 3, "the last attempt began there");
    let rows = ["copy a 0", "copy a 1", "copy a 2", "copy a 2", "copy a 2", "copy a 3", "copy a 3"];
    assert_eq!(world.log(), rows);
    let numbers: Vec<u32> = attempted(engine.client(), "A").await.iter().map(|attempted| attempted.attempt).collect();
    assert_eq!(numbers, [1, 2, 3]);
}

async fn an_undo_is_told_of_its_own_progress_and_of_no_other(place: impl Place) {
    let world = World::default();
    world.plan("copy b 1", [Act::Lose]);
    world.plan("delete b 3", [Act::Lose]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(copies_in_vain()).id("A").await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Failed(SagaError::GivesUp));
    let of = |what: &str| world.log().iter().filter(|name| name.starts_with(what)).count();
    assert_eq!((of("copy a"), of("copy b")), (4, 5));
    assert_eq!((of("delete b"), of("delete a")), (5, 4), "{:?}", world.log());
}

async fn an_attempt_on_a_queue_is_told_as_well(place: impl Place) {
    let world = World::default();
    world.plan("copy a 2", [Act::Lose]);
    let engine = engine_with(&place, &world, |builder| builder.queues(["far"])).await;
    let run = engine.client().start(copies(Some("far".to_owned()))).id("A").await.unwrap();
    assert_eq!(run.result().await.unwrap(), 2);
    let said = |entry: &Entry| matches!(entry, Entry::Progressed(_));
    assert!(!entries(engine.client(), "A").await.iter().any(said), "the run that makes the attempts keeps it");
}

async fn progress_outlives_the_worker(place: impl Place) {
    let world = World::default();
    world.plan("copy a 1", [Act::Hang]);
    let first = engine(&place, &world).await;
    first.client().start(copies(None)).id("A").await.unwrap();
    world.began("copy a 1").await;
    let said = loop {
        let said = entries(first.client(), "A").await.into_iter().find_map(|entry| match entry {
            Entry::Progressed(said) => Some(said),
            _ => None,
        });
        match said {
            Some(said) => break said,
            None => tokio::task::yield_now().await,
        }
    };
    assert_eq!((said.attempt, said.progress, said.undo), (1, Payload::json("1"), false));
    drop(first);
    let second = engine(&place, &world).await;
    let run = second.client().attach::<copies>("A").await.unwrap();
    assert_eq!(run.result().await.unwrap(), 1);
    assert_eq!(world.attempts("copy a 0").len(), 1);
}

async fn an_attempt_that_is_silent_too_long_times_out(place: impl Place) {
    let world = World::default();
    world.plan("silent", [Act::Hang]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(is_silent()).id("A").await.unwrap();
    assert_eq!(run.result().await.unwrap(), "silent!");
    let failed = attempted(engine.client(), "A").await.remove(0).failure;
    assert_eq!(failed.kind, FailureKind::TimedOut);
    let said = "`silent` gave no sign of life for 3ms, its `heartbeat`; call `cx.heartbeat(…)` more often, or raise it";
    assert_eq!(failed.message, said);
}

fn flaky() -> World {
    let world = World::default();
    world.plan("copy a 1", [Act::Lose]);
    world.plan("copy a 2", [Act::Lose]);
    world.plan("copy a 3", [Act::Lose]);
    world
}

async fn a_run_cut_after_any_record_goes_on_where_its_attempt_stood(place: impl Place) {
    let world = flaky();
    let whole = {
        let engine = engine(&place, &world).await;
        let run = engine.client().start(copies(None)).id("A").await.unwrap();
        run.result().await.unwrap();
        engine.shutdown().await;
        drop(run);
        Whole::read(&place.open().await, "A").await
    };
    for cut in 1..whole.journal.len() {
        let said = whole.entries(cut).into_iter().rev().find_map(|entry| match entry {
            Entry::Progressed(said) => Some(serde_json::from_slice::<u32>(said.progress.inline().unwrap()).unwrap()),
            _ => None,
        });
        let (place, world) = (place.another(), World::default());
        let store = place.open().await;
        whole.plant(&store, cut).await;
        let engine = saga_runtime::Engine::builder(store).state(world.clone()).start().await.unwrap();
        let run = engine.client().attach::<copies>("A").await.unwrap();
        assert_eq!(run.result().await.unwrap(), said.unwrap_or(0), "cut after {cut}");
        engine.shutdown().await;
    }
}

async fn a_run_that_tells_of_progress_ends_the_same_wherever_it_is_cut(place: impl Place) {
    let world = || {
        let world = flaky();
        world.plan("delete a 1", [Act::Lose]);
        world
    };
    cut_everywhere::<copies_in_vain>(&place, world, |client| client.start(copies_in_vain())).await;
}
