//! What was noted at a run's start, in its attempts.

use saga_runtime::Client;
use saga_runtime::prelude::*;
use saga_tests::steps::SagaError;
use saga_tests::{Act, Place, StepError, World, engine, on_each_store};

use crate::two::{gpu, home};

async fn attempt(world: &World, cx: &ActivityContext, name: &str) -> Result<String, StepError> {
    let who = cx.memo::<String>().map_err(|_| StepError::Declined)?;
    world.attempt(cx, &format!("{name} for {}", who.as_deref().unwrap_or("nobody"))).await
}

#[activity(retry(initial = "1ms", max = "2ms"), compensate = give_back_for(name))]
async fn take_for(#[state] world: &World, #[context] cx: &ActivityContext, name: String) -> Result<String, StepError> {
    attempt(world, cx, &name).await
}

#[activity(retry(initial = "1ms", max = "2ms"))]
async fn give_back_for(#[state] world: &World, #[context] cx: &ActivityContext, name: String) -> Result<(), StepError> {
    attempt(world, cx, &format!("undo {name}")).await.map(drop)
}

#[activity(queue = "gpu", retry(initial = "1ms", max = "2ms"))]
async fn paint_for(#[state] world: &World, #[context] cx: &ActivityContext, name: String) -> Result<String, StepError> {
    attempt(world, cx, &name).await
}

#[workflow]
async fn takes_and_paints_for() -> Result<(), SagaError> {
    take_for("brush".to_owned()).await?;
    paint_for("wall".to_owned()).await?;
    Err(SagaError::GivesUp)
}

#[workflow]
async fn takes_twice_for(round: u32) -> Result<(), SagaError> {
    take_for(format!("{round}")).await?;
    if round < 2 {
        return continue_as_new(takes_twice_for(round + 1)).await;
    }
    Ok(())
}

on_each_store!(
    attempts_read_what_was_noted_here_on_a_queue_and_in_an_undo,
    what_was_noted_is_there_after_a_takeover,
    a_run_without_a_memo_has_none_and_one_of_another_type_is_an_error,
    what_was_noted_goes_on_with_the_run_and_its_fork,
);

async fn attempts_read_what_was_noted_here_on_a_queue_and_in_an_undo(place: impl Place) {
    let (here, there) = (World::default(), World::default());
    there.plan("wall for ann", [Act::Lose]);
    let store = place.open().await;
    let (gpu, home) = (gpu(&store, &there).await, home(&store, &here).await);
    let run = home.client().start(takes_and_paints_for()).memo("ann").await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Failed(SagaError::GivesUp));
    assert_eq!(here.log(), ["brush for ann", "undo brush for ann"]);
    assert_eq!(there.log(), ["wall for ann", "wall for ann"]);
    home.shutdown().await;
    gpu.shutdown().await;
}

async fn what_was_noted_is_there_after_a_takeover(place: impl Place) {
    let (here, there) = (World::default(), World::default());
    here.plan("brush for ann", [Act::Hang]);
    there.plan("wall for ann", [Act::Hang]);
    let store = place.open().await;
    let first = home(&store, &here).await;
    Client::new(store.clone()).start(takes_and_paints_for()).id("A").memo("ann").await.unwrap();
    here.began("brush for ann").await;
    drop(first);
    let home = home(&store, &here).await;
    let first = gpu(&store, &there).await;
    there.began("wall for ann").await;
    drop(first);
    let gpu = gpu(&store, &there).await;
    let run = home.client().attach::<takes_and_paints_for>("A").await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Failed(SagaError::GivesUp));
    assert_eq!(here.log(), ["brush for ann", "brush for ann", "undo brush for ann"]);
    assert_eq!(there.log(), ["wall for ann", "wall for ann"]);
    home.shutdown().await;
    gpu.shutdown().await;
}

async fn a_run_without_a_memo_has_none_and_one_of_another_type_is_an_error(place: impl Place) {
    let world = World::default();
    let engine = engine(&place, &world).await;
    engine.client().start(takes_twice_for(2)).id("A").await.unwrap().result().await.unwrap();
    assert_eq!(world.log(), ["2 for nobody"]);
    let run = engine.client().start(takes_twice_for(2)).id("B").memo(&7).await.unwrap();
    let declined = SagaError::Step(ActivityError::Failed(StepError::Declined));
    assert_eq!(run.outcome().await.unwrap(), Outcome::Failed(declined));
}

async fn what_was_noted_goes_on_with_the_run_and_its_fork(place: impl Place) {
    let world = World::default();
    world.plan("2 for ann", [Act::Decline]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(takes_twice_for(1)).id("A").memo("ann").await.unwrap();
    assert!(matches!(run.outcome().await.unwrap(), Outcome::Failed(_)));
    engine.client().retry("A").await.unwrap();
    engine.client().attach::<takes_twice_for>("A").await.unwrap().result().await.unwrap();
    assert_eq!(world.log(), ["1 for ann", "2 for ann", "2 for ann"]);
    engine.shutdown().await;
}
