//! Starts that the store holds up: they keep nobody else, and nothing of theirs is lost.

use std::time::Duration;

use saga_runtime::Client;
use saga_runtime::prelude::*;
use saga_store::Store;
use saga_store::wire::Entry;
use saga_tests::steps::{SagaError, step};
use saga_tests::{Lossy, Place, World, on_each_store};
use serde::{Deserialize, Serialize};

use crate::journal::entries;

#[derive(Debug, Serialize, Deserialize, Event)]
struct Number {
    number: u64,
}

#[workflow]
async fn awaits_its_number() -> Result<u64, SagaError> {
    Ok(event::<Number>().await.number)
}

#[workflow]
async fn starts_and_tells(child: String) -> Result<u64, SagaError> {
    let started = spawn(awaits_its_number().id(child.clone())).await.map_err(|_| SagaError::GivesUp)?;
    send(child, Number { number: 7 }).await.map_err(|_| SagaError::GivesUp)?;
    started.await.map_err(|_| SagaError::GivesUp)
}

#[workflow]
async fn does_one_step() -> Result<String, SagaError> {
    Ok(step("one".to_owned()).await?)
}

#[workflow]
async fn has_a_child() -> Result<String, SagaError> {
    does_one_step().await.map_err(|_| SagaError::GivesUp)
}

#[workflow]
async fn goes_on_once(more: bool) -> Result<u64, SagaError> {
    if more {
        return continue_as_new(goes_on_once(false)).await;
    }
    Ok(event::<Number>().await.number)
}

on_each_store!(
    a_start_without_an_answer_keeps_its_place_until_it_is_known,
    a_start_that_is_stuck_in_the_outbox_keeps_no_other_and_loses_no_message,
    a_run_that_cannot_go_on_as_new_keeps_no_other,
);

async fn engine<S: Store>(store: S, world: &World) -> Engine {
    let builder = Engine::builder(store).state(world.clone()).slow_poll(Duration::from_millis(20));
    builder.grace(Duration::ZERO).start().await.unwrap()
}

/// A start for the worker in this process that gets no answer. A claim may be under way, and has its
/// places for a moment: then the start is for no worker, and another is tried.
async fn unanswered<S: Store>(client: &Client, store: &Lossy<S>, name: &str) -> String {
    for number in 0.. {
        let id = format!("{name}-{number}");
        store.hold(&id);
        assert!(client.start(does_one_step()).id(&id).await.unwrap_err().is_retryable());
        if store.claims_of(&id)[0] {
            return id;
        }
        tokio::task::yield_now().await;
    }
    unreachable!("there are numbers enough")
}

async fn result(client: &Client, id: &str) -> String {
    while client.get(id).await.is_err() {
        tokio::task::yield_now().await;
    }
    client.attach::<does_one_step>(id).await.unwrap().result().await.unwrap()
}

async fn a_start_without_an_answer_keeps_its_place_until_it_is_known(place: impl Place) {
    let store = Lossy::new(place.open().await);
    let builder = Engine::builder(store.clone()).state(World::default()).slow_poll(Duration::from_millis(20));
    let engine = builder.max_runs(2).start().await.unwrap();
    let client = engine.client();
    let (first, second) = (unanswered(client, &store, "A").await, unanswered(client, &store, "B").await);
    let third = client.start(does_one_step()).id("C").await.unwrap();
    assert_eq!(store.claims_of("C"), [false], "both places are kept");
    assert!(store.claims_of(&first).iter().all(|claims| *claims), "it is sent again unchanged");
    store.release(&second);
    // What holds up the one keeps no other.
    assert_eq!(result(client, &second).await, "one!");
    assert_eq!(third.result().await.unwrap(), "one!");
    assert!(client.get(&first).await.is_err(), "its id is held");
    store.release(&first);
    assert_eq!(result(client, &first).await, "one!");
    // The places are free again.
    unanswered(client, &store, "D").await;
    unanswered(client, &store, "E").await;
    engine.shutdown().await;
}

async fn a_start_that_is_stuck_in_the_outbox_keeps_no_other_and_loses_no_message(place: impl Place) {
    let world = World::default();
    let store = Lossy::new(place.open().await);
    store.hold("X");
    let first = engine(store.clone(), &world).await;
    first.client().start(starts_and_tells("X".to_owned())).id("A").await.unwrap();
    store.refused().await;
    while !entries(first.client(), "A").await.iter().any(|entry| matches!(entry, Entry::EventSent(..))) {
        tokio::task::yield_now().await;
    }
    first.shutdown().await;
    // The next worker finds both letters, and its own runs have others.
    let second = engine(store.clone(), &world).await;
    let client = second.client();
    assert_eq!(client.start(has_a_child()).id("B").await.unwrap().result().await.unwrap(), "one!");
    assert!(client.get("X").await.is_err());
    store.release("X");
    let parent = client.attach::<starts_and_tells>("A").await.unwrap();
    assert_eq!(parent.result().await.unwrap(), 7, "what was sent to the child came after its start");
    second.shutdown().await;
}

async fn a_run_that_cannot_go_on_as_new_keeps_no_other(place: impl Place) {
    let world = World::default();
    let store = Lossy::new(place.open().await);
    let first = engine(store.clone(), &world).await;
    let run = first.client().start(goes_on_once(true)).id("X");
    // Its first execution has begun when its id is held.
    let run = run.delay(Duration::from_millis(1)).await.unwrap();
    store.hold("X");
    store.refused().await;
    first.shutdown().await;
    let second = engine(store.clone(), &world).await;
    let client = second.client();
    assert_eq!(client.start(has_a_child()).id("B").await.unwrap().result().await.unwrap(), "one!");
    store.release("X");
    while client.get("X").await.unwrap().execution == run.execution() {
        tokio::task::yield_now().await;
    }
    client.send("X", Number { number: 7 }).await.unwrap();
    assert_eq!(client.attach::<goes_on_once>("X").await.unwrap().result().await.unwrap(), 7);
    second.shutdown().await;
}
