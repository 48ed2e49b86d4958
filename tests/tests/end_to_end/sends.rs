//! Events that activities send: each arrives once, however often the step is attempted.

use saga_runtime::prelude::*;
use saga_runtime::store::wire::Entry;
use saga_tests::steps::{SagaError, pay};
use saga_tests::{Act, Place, StepError, World, engine, engine_with, on_each_store};
use serde::{Deserialize, Serialize};

use crate::cutting::cut_everywhere;
use crate::journal::entries;

/// The last one has the highest number.
#[derive(Debug, Clone, Serialize, Deserialize, Event)]
struct Told {
    number: u32,
}

const LAST: u32 = 9;

/// Has another value with each attempt.
#[derive(Debug, Clone, Serialize, Deserialize, Event)]
struct Begun {
    attempt: u32,
}

/// Tells a run before it does something, and after; equal things as well.
#[activity(retry(initial = "1ms", max = "2ms"), compensate = untell(to, name))]
async fn tell(
    #[state] world: &World,
    #[context] cx: &ActivityContext,
    to: String,
    name: String,
) -> Result<String, StepError> {
    says(cx, &to, [1, 2, 2]).await;
    let done = world.attempt(cx, &name).await?;
    says(cx, &to, [LAST]).await;
    Ok(done)
}

async fn says(cx: &ActivityContext, to: &str, numbers: impl IntoIterator<Item = u32>) {
    for number in numbers {
        cx.send(to, Told { number }).await.expect("the run is there");
    }
}

/// Undoes [`tell`], and says so.
#[activity(retry(initial = "1ms", max = "2ms"))]
async fn untell(
    #[state] world: &World,
    #[context] cx: &ActivityContext,
    to: String,
    name: String,
) -> Result<String, StepError> {
    says(cx, &to, [1]).await;
    let undone = world.attempt(cx, &format!("undo {name}")).await?;
    says(cx, &to, [LAST]).await;
    Ok(undone)
}

#[activity(retry(initial = "1ms", max = "2ms"))]
async fn begins(
    #[state] world: &World,
    #[context] cx: &ActivityContext,
    to: String,
    name: String,
) -> Result<String, StepError> {
    cx.send(&to, Begun { attempt: cx.attempt() }).key("begun").await.expect("the run is there");
    let done = world.attempt(cx, &name).await?;
    says(cx, &to, [LAST]).await;
    Ok(done)
}

/// Says why it cannot send.
#[activity]
async fn tells_nobody(#[context] cx: &ActivityContext, to: String) -> saga_runtime::Result<String> {
    Ok(match cx.send(&to, Told { number: 1 }).await {
        Ok(()) => "it was sent".to_owned(),
        Err(error) => error.to_string(),
    })
}

#[workflow]
async fn tells(to: String, queue: Option<String>) -> Result<String, SagaError> {
    let call = tell(to, "tell".to_owned());
    Ok(match queue {
        Some(queue) => call.queue(queue).await?,
        None => call.await?,
    })
}

#[workflow]
async fn begins_once(to: String) -> Result<String, SagaError> {
    Ok(begins(to, "begin".to_owned()).await?)
}

#[workflow]
async fn asks_why(to: String) -> Result<String, SagaError> {
    tells_nobody(to).await.map_err(|_| SagaError::GivesUp)
}

/// The numbers that it is told until the last one, so many times.
#[durable]
async fn heard(times: u32) -> Vec<u32> {
    let mut numbers = Vec::new();
    for _ in 0..times {
        loop {
            let Told { number } = event::<Told>().await;
            numbers.push(number);
            if number == LAST {
                break;
            }
        }
    }
    numbers
}

#[workflow]
async fn hears(times: u32) -> Result<Vec<u32>, SagaError> {
    Ok(heard(times).await)
}

/// Two steps that tell the run itself, beside the run that hears them.
#[workflow]
async fn hears_its_own_steps(fails: bool) -> Result<Vec<u32>, SagaError> {
    pay("fee".to_owned()).await?;
    tell("A".to_owned(), "first".to_owned()).await?;
    let mut numbers = heard(1).await;
    tell("A".to_owned(), "second".to_owned()).await?;
    numbers.extend(heard(1).await);
    if fails { Err(SagaError::GivesUp) } else { Ok(numbers) }
}

on_each_store!(
    an_event_of_an_activity_arrives_once_however_often_it_is_attempted,
    an_attempt_on_a_queue_sends_for_the_step_of_its_run,
    what_a_worker_sent_before_it_died_is_not_sent_again,
    an_undo_sends_events_of_its_own,
    under_a_key_an_event_arrives_once_whatever_its_value_is,
    an_event_that_cannot_be_sent_is_an_error_of_the_send,
    a_run_that_its_steps_tell_ends_the_same_wherever_it_is_cut,
);

fn flaky() -> World {
    let world = World::default();
    world.plan("tell", [Act::Lose, Act::Refuse, Act::Panic]);
    world
}

async fn an_event_of_an_activity_arrives_once_however_often_it_is_attempted(place: impl Place) {
    let world = flaky();
    let engine = engine(&place, &world).await;
    let hears = engine.client().start(hears(1)).id("B").await.unwrap();
    let tells = engine.client().start(tells("B".to_owned(), None)).id("A").await.unwrap();
    assert_eq!(tells.result().await.unwrap(), "tell!");
    assert_eq!(hears.result().await.unwrap(), [1, 2, 2, LAST]);
    assert_eq!(world.attempts("tell").len(), 4);
}

async fn an_attempt_on_a_queue_sends_for_the_step_of_its_run(place: impl Place) {
    let world = flaky();
    let engine = engine_with(&place, &world, |builder| builder.queues(["far"])).await;
    let hears = engine.client().start(hears(1)).id("B").await.unwrap();
    let tells = engine.client().start(tells("B".to_owned(), Some("far".to_owned()))).id("A").await.unwrap();
    assert_eq!(tells.result().await.unwrap(), "tell!");
    assert_eq!(hears.result().await.unwrap(), [1, 2, 2, LAST]);
}

async fn what_a_worker_sent_before_it_died_is_not_sent_again(place: impl Place) {
    let world = World::default();
    world.plan("tell", [Act::Hang]);
    let first = engine(&place, &world).await;
    first.client().start(hears(1)).id("B").await.unwrap();
    first.client().start(tells("B".to_owned(), None)).id("A").await.unwrap();
    world.began("tell").await;
    drop(first);
    let second = engine(&place, &world).await;
    let hears = second.client().attach::<hears>("B").await.unwrap();
    assert_eq!(hears.result().await.unwrap(), [1, 2, 2, LAST]);
    assert_eq!(world.attempts("tell").len(), 2);
}

async fn an_undo_sends_events_of_its_own(place: impl Place) {
    let world = World::default();
    world.plan("tell", [Act::Hang]);
    world.plan("undo tell", [Act::Lose]);
    let engine = engine(&place, &world).await;
    let hears = engine.client().start(hears(1)).id("B").await.unwrap();
    let tells = engine.client().start(tells("B".to_owned(), None)).id("A").await.unwrap();
    world.began("tell").await;
    tells.cancel().await.unwrap();
    assert_eq!(tells.outcome().await.unwrap(), Outcome::Cancelled);
    assert_eq!(hears.result().await.unwrap(), [1, 2, 2, 1, LAST], "what the step said stays said");
}

async fn under_a_key_an_event_arrives_once_whatever_its_value_is(place: impl Place) {
    let world = World::default();
    world.plan("begin", [Act::Lose, Act::Lose]);
    let engine = engine(&place, &world).await;
    let hears = engine.client().start(hears(1)).id("B").await.unwrap();
    let begins = engine.client().start(begins_once("B".to_owned())).id("A").await.unwrap();
    begins.result().await.unwrap();
    hears.result().await.unwrap();
    let begun = entries(engine.client(), "B").await.into_iter().filter_map(|entry| match entry {
        Entry::EventReceived(event) if event.name == "Begun" => Some(event.value),
        _ => None,
    });
    let attempts: Vec<Begun> = begun.map(|value| serde_json::from_slice(value.inline().unwrap()).unwrap()).collect();
    assert_eq!(attempts.iter().map(|begun| begun.attempt).collect::<Vec<_>>(), [1]);
}

async fn an_event_that_cannot_be_sent_is_an_error_of_the_send(place: impl Place) {
    let engine = engine(&place, &World::default()).await;
    let client = engine.client();
    let over = client.start(asks_why("B".to_owned())).id("A").await.unwrap();
    assert_eq!(over.result().await.unwrap(), "no run has the id B");
    let late = client.start(asks_why("A".to_owned())).await.unwrap();
    assert_eq!(late.result().await.unwrap(), "run A has ended");
    let nameless = client.start(asks_why(String::new())).await.unwrap();
    assert!(nameless.result().await.unwrap().contains("1 to 512 bytes"));
}

async fn a_run_that_its_steps_tell_ends_the_same_wherever_it_is_cut(place: impl Place) {
    let world = || {
        let world = World::default();
        world.plan("first", [Act::Lose]);
        world.plan("second", [Act::Refuse, Act::Lose]);
        world
    };
    for fails in [false, true] {
        cut_everywhere::<hears_its_own_steps>(&place.another(), world, |client| {
            client.start(hears_its_own_steps(fails))
        })
        .await;
    }
}
