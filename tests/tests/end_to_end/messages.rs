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

on_each_store!(
    an_event_can_be_sent_by_name_as_json,
    what_is_no_value_of_the_event_is_refused_before_it_is_sent,
    a_value_that_nobody_can_read_is_recorded_and_does_the_run_no_harm,
);

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
