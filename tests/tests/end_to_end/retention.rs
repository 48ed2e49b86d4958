//! What has ended is kept for as long as somebody says, and no longer.

use std::time::Duration;

use saga_runtime::prelude::*;
use saga_runtime::{Client, Engine};
use saga_store::{Query, RunState};
use saga_tests::steps::{SagaError, step};
use saga_tests::{Act, Place, World, on_each_store};

#[workflow]
async fn one_kept_step(name: String) -> Result<String, SagaError> {
    Ok(step(name).await?)
}

#[workflow]
async fn dies() -> Result<(), SagaError> {
    panic!("it falls over");
}

on_each_store!(
    what_ended_long_ago_is_deleted_and_what_lives_or_is_dead_stays,
    a_purge_by_filter_says_what_would_go_and_then_deletes_that,
    one_run_is_deleted_by_its_id_and_no_other,
);

async fn what_ended_long_ago_is_deleted_and_what_lives_or_is_dead_stays(place: impl Place) {
    let world = World::default();
    world.plan("lives", [Act::Hang]);
    let builder = Engine::builder(place.open().await).state(world.clone()).grace(Duration::ZERO);
    let engine =
        builder.slow_poll(Duration::from_millis(20)).retention(Duration::from_millis(1)).start().await.unwrap();
    let client = engine.client();
    client.start(one_kept_step("lives".to_owned())).id("lives").await.unwrap();
    client.start(dies()).id("dead").await.unwrap();
    for number in 0..5 {
        client.start(one_kept_step("ends".to_owned())).id(format!("R-{number}")).await.unwrap();
    }
    for number in 0..5 {
        while !client.get(format!("R-{number}")).await.is_err_and(|error| error.is_no_run()) {
            tokio::task::yield_now().await;
        }
    }
    while client.get("dead").await.unwrap().state != RunState::Dead {
        tokio::task::yield_now().await;
    }
    // One that ends after the dead one, and is gone: so the dead one was passed over.
    client.start(one_kept_step("ends".to_owned())).id("last").await.unwrap();
    while client.get("last").await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert_eq!(client.get("dead").await.unwrap().state, RunState::Dead);
    assert_eq!(client.get("lives").await.unwrap().state, RunState::Running);
    engine.shutdown().await;
}

async fn ids(client: &Client) -> Vec<String> {
    let page = client.list(&Query { limit: 100, ..Query::default() }).await.unwrap();
    let mut ids: Vec<String> = page.runs.iter().map(|run| run.id.to_string()).collect();
    ids.sort();
    ids
}

async fn a_purge_by_filter_says_what_would_go_and_then_deletes_that(place: impl Place) {
    let world = World::default();
    world.plan("lives", [Act::Hang]);
    let builder = Engine::builder(place.open().await).state(world.clone()).grace(Duration::ZERO);
    let engine = builder.start().await.unwrap();
    let client = engine.client().clone();
    client.start(one_kept_step("lives".to_owned())).id("a-lives").await.unwrap();
    client.start(dies()).id("a-dead").await.unwrap();
    while client.get("a-dead").await.unwrap().state != RunState::Dead {
        tokio::task::yield_now().await;
    }
    for id in ["a-1", "a-2", "b-1"] {
        client.start(one_kept_step("ends".to_owned())).id(id).await.unwrap().result().await.unwrap();
    }
    let before = ids(&client).await;
    let of_a = Query { id_prefix: Some("a-".to_owned()), ..Query::default() };
    let found = client.purge(of_a.clone()).dry_run().await.unwrap();
    assert_eq!(found.done.len(), 2, "{found:?}");
    assert_eq!(ids(&client).await, before, "a dry run deletes nothing");

    let mut done = client.purge(of_a.clone()).rate(1_000).await.unwrap().done;
    done.sort();
    assert_eq!(done.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a-1", "a-2"]);
    assert_eq!(ids(&client).await, ["a-dead", "a-lives", "b-1"]);

    let states = vec![RunState::Dead, RunState::Running];
    let report = client.purge(Query { states, ..of_a }).await.unwrap();
    assert_eq!(report.done.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a-dead"]);
    let [(id, why)] = &report.refused[..] else { panic!("{report:?}") };
    assert!(id.as_str() == "a-lives" && why.to_string().contains("it has not ended; terminate it first"), "{why}");
    // Its id is free again.
    let again = client.start(one_kept_step("ends".to_owned())).id("a-1").await.unwrap();
    assert!(again.is_new());
    engine.shutdown().await;
}

async fn one_run_is_deleted_by_its_id_and_no_other(place: impl Place) {
    let world = World::default();
    world.plan("lives", [Act::Hang]);
    let builder = Engine::builder(place.open().await).state(world.clone()).grace(Duration::ZERO);
    let engine = builder.start().await.unwrap();
    let client = engine.client().clone();
    client.start(one_kept_step("lives".to_owned())).id("a-lives").await.unwrap();
    for id in ["a-1", "a-17"] {
        client.start(one_kept_step("ends".to_owned())).id(id).await.unwrap().result().await.unwrap();
    }
    client.delete("a-1").await.unwrap();
    assert_eq!(ids(&client).await, ["a-17", "a-lives"]);
    assert!(client.delete("a-1").await.is_err_and(|error| error.is_no_run()));
    let why = client.delete("a-lives").await.unwrap_err().to_string();
    assert!(why.contains("it has not ended; terminate it first"), "{why}");
    engine.shutdown().await;
}
