//! Attempts that wait for a place.

use std::time::Duration;

use saga_runtime::prelude::*;
use saga_runtime::{EngineBuilder, Limit};
use saga_store::{Query, RunState};
use saga_tests::steps::{SagaError, step};
use saga_tests::{Act, Place, World, engine, engine_with, on_each_store};

#[workflow]
async fn one_named_step(name: String) -> Result<String, SagaError> {
    Ok(step(name).await?)
}

on_each_store!(
    no_more_runs_are_in_memory_than_allowed,
    no_more_attempts_run_at_once_than_allowed,
    a_run_that_is_cancelled_while_it_waits_for_a_place_attempts_nothing_and_keeps_no_place,
    a_shutdown_does_not_wait_for_attempts_that_have_not_begun,
);

async fn no_more_runs_are_in_memory_than_allowed(place: impl Place) {
    let world = World::default();
    world.plan("it", [Act::Wait; 5]);
    let engine = engine_with(&place, &world, |builder| builder.max_runs(2)).await;
    // All at once: no two of them take the same place.
    let start = |_| engine.client().start(one_named_step("it".to_owned())).into_future();
    let runs = futures_util::future::try_join_all((0..5).map(start)).await.unwrap();
    world.began("it").await;
    for left in (0..4).rev() {
        world.began("it").await;
        let query = Query { limit: 10, states: vec![RunState::Pending], ..Query::default() };
        assert_eq!(engine.client().list(&query).await.unwrap().runs.len(), left, "the others wait in the store");
        world.open("it");
    }
    world.open("it");
    for run in runs {
        assert_eq!(run.result().await.unwrap(), "it!");
    }
}

async fn no_more_attempts_run_at_once_than_allowed(place: impl Place) {
    for of_all in [true, false] {
        let place = place.another();
        let world = World::default();
        world.plan("it", [Act::Wait; 6]);
        let engine = engine_with(&place, &world, |builder| {
            if of_all { builder.max_attempts_at_once(2) } else { builder.limit::<step>(Limit::new().at_once(2)) }
        })
        .await;
        let mut runs = Vec::new();
        for _ in 0..6 {
            runs.push(engine.client().start(one_named_step("it".to_owned())).await.unwrap());
        }
        world.began("it").await;
        for begun in 2..=6 {
            world.began("it").await;
            assert_eq!(world.log().len(), begun, "each that ends makes room for one");
            world.open("it");
        }
        world.open("it");
        for run in runs {
            assert_eq!(run.result().await.unwrap(), "it!");
        }
    }
}

async fn a_run_that_is_cancelled_while_it_waits_for_a_place_attempts_nothing_and_keeps_no_place(place: impl Place) {
    let world = World::default();
    world.plan("first", [Act::Wait]);
    let engine = engine_with(&place, &world, |builder| builder.max_attempts_at_once(1)).await;
    let first = engine.client().start(one_named_step("first".to_owned())).await.unwrap();
    world.began("first").await;
    let cancelled = engine.client().start(one_named_step("cancelled".to_owned())).await.unwrap();
    let last = engine.client().start(one_named_step("last".to_owned())).await.unwrap();
    cancelled.cancel().await.unwrap();
    assert_eq!(cancelled.outcome().await.unwrap(), Outcome::Cancelled);
    world.open("first");
    assert_eq!(first.result().await.unwrap(), "first!");
    assert_eq!(last.result().await.unwrap(), "last!");
    assert_eq!(world.log(), ["first", "last"]);
}

async fn a_shutdown_does_not_wait_for_attempts_that_have_not_begun(place: impl Place) {
    let world = World::default();
    // Waiting for the grace to be over, or for the next hour's attempt, would be noticed.
    let hour = Duration::from_secs(3600);
    let limited = |builder: EngineBuilder| builder.limit::<step>(Limit::new().per(1, hour)).grace(hour);
    let engine_then = engine_with(&place, &world, limited).await;
    let first = engine_then.client().start(one_named_step("first".to_owned())).await.unwrap();
    assert_eq!(first.result().await.unwrap(), "first!");
    engine_then.client().start(one_named_step("second".to_owned())).id("B").await.unwrap();
    engine_then.shutdown().await;
    assert_eq!(world.log(), ["first"]);
    let engine = engine(&place, &world).await;
    let run = engine.client().attach::<one_named_step>("B").await.unwrap();
    assert_eq!(run.result().await.unwrap(), "second!");
    assert_eq!(world.attempts("second").len(), 1);
}
