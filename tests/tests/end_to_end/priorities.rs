//! Which of the steps that wait on a queue goes first.

use saga_runtime::Engine;
use saga_runtime::prelude::*;
use saga_store::Query;
use saga_tests::steps::{SagaError, step};
use saga_tests::{Place, StepError, World, on_each_store};

use crate::queues::render;
use crate::two::{home, started};

#[workflow]
async fn renders_by_priority() -> Result<Vec<String>, SagaError> {
    let calls = [("low", -1), ("none", 0), ("high", 9), ("middle", 5)];
    let films = join_all(calls.map(|(name, priority)| render(name.to_owned()).priority(priority))).await;
    films.into_iter().map(|film| film.map_err(SagaError::from)).collect()
}

/// Goes first, if the call does not say otherwise.
#[activity(queue = "gpu", priority = 7)]
async fn hurry(#[state] world: &World, #[context] cx: &ActivityContext, name: String) -> Result<String, StepError> {
    world.attempt(cx, &name).await
}

#[workflow]
async fn renders_by_the_attributes_priority() -> Result<Vec<String>, SagaError> {
    let film = |name: &str| hurry(name.to_owned());
    let (low, middle) = (film("low").priority(-1), render("middle".to_owned()).priority(1));
    let films = join_all([low, film("high"), film("highest").priority(8)]);
    let (middle, films) = join!(middle, films).await;
    let mut films: Vec<String> = films.into_iter().collect::<Result<_, _>>()?;
    films.push(middle?);
    Ok(films)
}

#[workflow]
async fn hurries_nowhere() -> Result<String, SagaError> {
    Ok(step("step".to_owned()).priority(9).await?)
}

on_each_store!(
    of_steps_that_wait_those_with_a_higher_priority_go_first,
    a_priority_of_the_attribute_holds_where_the_call_has_none,
    a_priority_without_a_queue_is_an_error_of_the_step,
);

async fn of_steps_that_wait_those_with_a_higher_priority_go_first(place: impl Place) {
    let (here, there) = (World::default(), World::default());
    let store = place.open().await;
    let home = home(&store, &here).await;
    let run = home.client().start(renders_by_priority()).id("A").await.unwrap();
    let all = Query { limit: 10, ..Query::default() };
    while home.client().list(&all).await.unwrap().runs.len() < 5 {
        tokio::task::yield_now().await;
    }
    let one = Engine::builder(store.clone()).state(there.clone()).queues(["gpu"]).only_activities().max_runs(1);
    let gpu = started(one).await;
    assert_eq!(run.result().await.unwrap(), ["low!", "none!", "high!", "middle!"]);
    assert_eq!(there.log(), ["high", "middle", "none", "low"]);
    gpu.shutdown().await;
    home.shutdown().await;
}

async fn a_priority_of_the_attribute_holds_where_the_call_has_none(place: impl Place) {
    let (here, there) = (World::default(), World::default());
    let store = place.open().await;
    let home = home(&store, &here).await;
    let run = home.client().start(renders_by_the_attributes_priority()).id("A").await.unwrap();
    let all = Query { limit: 10, ..Query::default() };
    while home.client().list(&all).await.unwrap().runs.len() < 5 {
        tokio::task::yield_now().await;
    }
    let one = Engine::builder(store.clone()).state(there.clone()).queues(["gpu"]).only_activities().max_runs(1);
    let gpu = started(one).await;
    assert_eq!(run.result().await.unwrap(), ["low!", "high!", "highest!", "middle!"]);
    assert_eq!(there.log(), ["highest", "high", "middle", "low"]);
    gpu.shutdown().await;
    home.shutdown().await;
}

async fn a_priority_without_a_queue_is_an_error_of_the_step(place: impl Place) {
    let world = World::default();
    let store = place.open().await;
    let home = home(&store, &world).await;
    let run = home.client().start(hurries_nowhere()).id("A").await.unwrap();
    let Outcome::Failed(SagaError::Step(error)) = run.outcome().await.unwrap() else { panic!("not refused") };
    assert_eq!(error.to_string(), "`step` has a priority and no queue to wait on: add `.queue(…)`");
    assert!(world.log().is_empty());
    home.shutdown().await;
}
