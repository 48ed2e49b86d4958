//! Events by name and JSON.

use saga_runtime::ClientError;
use saga_runtime::prelude::*;
use saga_runtime::store::message::EventMessage;
use saga_runtime::store::wire::{Entry, Payload};
use saga_runtime::store::{Message, MessageBody, MessageId, Store, Target, Timestamp};
use saga_tests::steps::SagaError;
use saga_tests::{Place, World, engine, on_each_store};
use serde::{Deserialize, Serialize};

use crate::journal::entries;

/// Its name is no other's in this program, so that its values can be checked.
#[derive(Debug, Clone, Serialize, Deserialize, Event)]
#[event(name = "shipped")]
struct Shipped {
    parcel: u64,
}

#[workflow]
async fn waits_for_a_parcel() -> Result<u64, SagaError> {
    Ok(event::<Shipped>().await.parcel)
}

/// One of many.
#[derive(Debug, Clone, Serialize, Deserialize, Event)]
struct Numbered {
    number: u64,
}

#[workflow]
async fn tells_many(to: String, count: u64) -> Result<(), SagaError> {
    for number in 0..count {
        send(to.clone(), Numbered { number }).await.map_err(|_| SagaError::GivesUp)?;
    }
    Ok(())
}

#[workflow]
async fn hears_many(count: u64) -> Result<u64, SagaError> {
    for expected in 0..count {
        if event::<Numbered>().await.number != expected {
            return Ok(expected);
        }
    }
    Ok(count)
}

on_each_store!(
    more_events_than_a_worker_has_at_hand_all_arrive_in_their_order,
    an_event_can_be_sent_by_name_as_json,
    what_is_no_value_of_the_event_is_refused_before_it_is_sent,
    a_value_that_nobody_can_read_is_recorded_and_does_the_run_no_harm,
    an_event_that_the_workflow_never_awaits_is_an_error_of_the_send,
    an_event_that_the_workflow_may_await_is_sent,
    an_event_that_one_of_several_helpers_of_a_name_awaits_is_sent,
);

#[derive(Debug, Clone, Serialize, Deserialize, Event)]
#[event(name = "lost")]
struct Lost {
    parcel: u64,
}

#[durable]
async fn the_parcel() -> u64 {
    event::<Shipped>().await.parcel
}

#[workflow]
async fn waits_by_a_helper() -> Result<u64, SagaError> {
    Ok(the_parcel().await)
}

/// The plan does not show what the variable holds.
#[workflow]
async fn waits_by_a_variable() -> Result<u64, SagaError> {
    let wait = event::<Lost>();
    Ok(wait.await.parcel)
}

/// Helpers of one name, each of which awaits another event. Which of them a path means an import can
/// hide.
mod before {
    use super::*;

    #[derive(Debug, Clone, Serialize, Deserialize, Event)]
    pub(super) struct Early {
        pub(super) parcel: u64,
    }

    #[durable]
    pub(super) async fn hears_of_it() -> u64 {
        event::<Early>().await.parcel
    }
}

mod between {
    use super::*;

    #[durable]
    pub(super) async fn hears_of_it() -> u64 {
        event::<Lost>().await.parcel
    }
}

mod behind {
    use super::*;

    #[derive(Debug, Clone, Serialize, Deserialize, Event)]
    pub(super) struct Late {
        pub(super) parcel: u64,
    }

    #[durable]
    pub(super) async fn hears_of_it() -> u64 {
        event::<Late>().await.parcel
    }
}

use {before as one, behind as three, between as two};

#[workflow]
async fn waits_by_the_first_of_a_name() -> Result<u64, SagaError> {
    Ok(one::hears_of_it().await)
}

#[workflow]
async fn waits_by_the_second_of_a_name() -> Result<u64, SagaError> {
    Ok(two::hears_of_it().await)
}

#[workflow]
async fn waits_by_the_third_of_a_name() -> Result<u64, SagaError> {
    Ok(three::hears_of_it().await)
}

#[workflow]
async fn waits_in_its_next_execution(more: bool) -> Result<u64, SagaError> {
    if more {
        return continue_as_new(waits_for_loss()).await;
    }
    Ok(0)
}

#[workflow(name = "waits_in_its_next_execution", version = 2)]
async fn waits_for_loss() -> Result<u64, SagaError> {
    Ok(event::<Lost>().await.parcel)
}

async fn an_event_that_the_workflow_never_awaits_is_an_error_of_the_send(place: impl Place) {
    let engine = engine(&place, &World::default()).await;
    let client = engine.client();
    let direct = client.start(waits_for_a_parcel()).id("A").await.unwrap();
    let by_a_helper = client.start(waits_by_a_helper()).id("B").await.unwrap();
    for (error, workflow) in [
        (direct.send(Lost { parcel: 1 }).await.unwrap_err(), "waits_for_a_parcel"),
        (by_a_helper.send(Lost { parcel: 1 }).await.unwrap_err(), "waits_by_a_helper"),
        (
            client.start(waits_for_a_parcel()).id("C").with_event(Lost { parcel: 1 }).await.unwrap_err(),
            "waits_for_a_parcel",
        ),
    ] {
        assert!(error.is_not_awaited());
        let said = error.to_string();
        assert!(said.contains("event `lost` was not sent") && said.contains(workflow), "{said}");
        assert!(said.contains("`client.send(…)`"), "{said}");
    }
    assert!(client.get("C").await.unwrap_err().is_no_run(), "nothing was started");
    let received = |entry: &Entry| matches!(entry, Entry::EventReceived(event) if event.name == "lost");
    assert!(!entries(client, "A").await.iter().any(received), "nothing was sent");
    client.send("A", Lost { parcel: 1 }).await.unwrap();
    direct.send(Shipped { parcel: 7 }).await.unwrap();
    assert_eq!(direct.result().await.unwrap(), 7);
    assert!(entries(client, "A").await.iter().any(received), "the client sends anything");
}

async fn an_event_that_the_workflow_may_await_is_sent(place: impl Place) {
    let engine = engine(&place, &World::default()).await;
    let client = engine.client();
    let by_a_helper = client.start(waits_by_a_helper()).id("A").await.unwrap();
    by_a_helper.send(Shipped { parcel: 1 }).await.unwrap();
    assert_eq!(by_a_helper.result().await.unwrap(), 1);
    let hidden = client.start(waits_by_a_variable()).id("B").await.unwrap();
    hidden.send(Shipped { parcel: 0 }).await.unwrap();
    hidden.send(Lost { parcel: 2 }).await.unwrap();
    assert_eq!(hidden.result().await.unwrap(), 2);
    let later = client.start(waits_in_its_next_execution(true)).id("C").with_event(Lost { parcel: 3 }).await.unwrap();
    assert_eq!(later.result().await.unwrap(), 3);
}

async fn an_event_that_one_of_several_helpers_of_a_name_awaits_is_sent(place: impl Place) {
    let engine = engine(&place, &World::default()).await;
    let client = engine.client();
    let first = client.start(waits_by_the_first_of_a_name()).id("A").await.unwrap();
    first.send(before::Early { parcel: 1 }).await.unwrap();
    assert_eq!(first.result().await.unwrap(), 1);
    let second = client.start(waits_by_the_second_of_a_name()).id("B").await.unwrap();
    second.send(Lost { parcel: 2 }).await.unwrap();
    assert_eq!(second.result().await.unwrap(), 2);
    let third = client.start(waits_by_the_third_of_a_name()).id("C").await.unwrap();
    let error = third.send(Shipped { parcel: 3 }).await.unwrap_err();
    assert!(error.is_not_awaited(), "none of them awaits this: {error}");
    third.send(behind::Late { parcel: 3 }).await.unwrap();
    assert_eq!(third.result().await.unwrap(), 3);
}

async fn an_event_can_be_sent_by_name_as_json(place: impl Place) {
    let engine = engine(&place, &World::default()).await;
    let run = engine.client().start(waits_for_a_parcel()).id("A").await.unwrap();
    engine.client().send_json("A", "never awaited", "[1, 2]").await.unwrap();
    engine.client().send_json("A", "shipped", "{ \"parcel\": 7 }").await.unwrap();
    assert_eq!(run.result().await.unwrap(), 7);
}

async fn what_is_no_value_of_the_event_is_refused_before_it_is_sent(place: impl Place) {
    let engine = engine(&place, &World::default()).await;
    let client = engine.client();
    client.start(waits_for_a_parcel()).id("A").await.unwrap();
    for (json, expected) in [("{", "no JSON: EOF while parsing"), ("{\"box\":1}", "missing field `parcel`")] {
        let error = client.send_json("A", "shipped", json).await.unwrap_err();
        assert!(matches!(error, ClientError::Event { .. }));
        let text = error.to_string();
        assert!(text.starts_with("not a value of event `shipped`: ") && text.contains(expected), "{text}");
    }
    assert!(client.send_json("nobody", "shipped", "{\"parcel\":1}").await.unwrap_err().is_no_run());
    let received = |entry: &Entry| matches!(entry, Entry::EventReceived(_) | Entry::EventRefused(..));
    assert!(!entries(client, "A").await.iter().any(received));
}

async fn a_value_that_nobody_can_read_is_recorded_and_does_the_run_no_harm(place: impl Place) {
    let engine = engine(&place, &World::default()).await;
    let run = engine.client().start(waits_for_a_parcel()).id("A").await.unwrap();
    let other = place.beside().await;
    let value = Payload::json("{\"box\":1}");
    let body = MessageBody::Event(EventMessage { name: "shipped".to_owned(), value }).to_bytes();
    let id = MessageId::generate(Timestamp::from_system_clock(), &[5; 10]);
    other.deliver(vec![Message { id, to: Target::Execution(run.execution()), body }]).await.unwrap();
    let refused = |entry: &Entry| matches!(entry, Entry::EventRefused(_, why) if why.contains("missing field"));
    while !entries(engine.client(), "A").await.iter().any(refused) {
        tokio::task::yield_now().await;
    }
    run.send(Shipped { parcel: 9 }).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 9);
}

async fn more_events_than_a_worker_has_at_hand_all_arrive_in_their_order(place: impl Place) {
    // 4,096 at a time.
    let count = 4_500;
    let engine = engine(&place, &World::default()).await;
    let hears = engine.client().start(hears_many(count)).id("A").await.unwrap();
    let tells = engine.client().start(tells_many("A".to_owned(), count)).await.unwrap();
    tells.result().await.unwrap();
    assert_eq!(hears.result().await.unwrap(), count);
    engine.shutdown().await;
}
