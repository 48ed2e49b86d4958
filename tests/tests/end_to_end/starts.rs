//! What a start can say.

use std::time::Duration;

use saga_runtime::prelude::*;
use saga_runtime::store::wire::{Conclusion, Entry, Payload, decode};
use saga_runtime::store::{OnExisting, Query, RunState, Timestamp};
use saga_runtime::{Client, ClientError};
use saga_tests::steps::{SagaError, pay, step};
use saga_tests::{Act, Place, World, engine, on_each_store};
use serde::{Deserialize, Serialize};

use crate::journal::entries;

#[derive(Debug, Clone, Serialize, Deserialize, Event)]
struct Approval {
    by: String,
}

#[workflow]
async fn on_approval() -> Result<String, SagaError> {
    let first = event::<Approval>().await.by;
    let second = event::<Approval>().await.by;
    step("work".to_owned()).await?;
    Ok(format!("{first} {second}"))
}

#[workflow]
async fn pays_and_works() -> Result<(), SagaError> {
    pay("fee".to_owned()).await?;
    step("work".to_owned()).await?;
    Ok(())
}

on_each_store!(
    a_delayed_run_begins_at_its_time_and_not_when_a_message_comes,
    a_delayed_run_can_be_cancelled_before_it_begins,
    a_run_whose_moment_has_passed_begins_at_once,
    a_run_that_does_not_end_by_its_deadline_is_cancelled_and_undone,
    a_deadline_holds_over_a_restart_and_outside_memory,
    a_start_with_events_has_them_from_the_beginning,
    a_start_can_refuse_an_id_that_exists_or_replace_what_has_ended,
    what_was_noted_at_the_start_is_listed_and_shown,
);

async fn a_delayed_run_begins_at_its_time_and_not_when_a_message_comes(place: impl Place) {
    let world = World::default();
    let engine = engine(&place, &world).await;
    let client = engine.client();
    let run = client.start(on_approval()).id("A").delay(Duration::from_secs(3600)).await.unwrap();
    run.send(Approval { by: "ann".to_owned() }).await.unwrap();
    run.send(Approval { by: "bob".to_owned() }).await.unwrap();
    while entries(client, "A").await.len() < 3 {
        tokio::task::yield_now().await;
    }
    let awaited = |entry: &Entry| matches!(entry, Entry::EventAwaited(..));
    assert!(!entries(client, "A").await.iter().any(awaited), "it has not begun");
    let soon = client.start(on_approval()).id("B").delay(Duration::from_millis(30));
    let run = soon.with_event(Approval { by: "ann".to_owned() }).await.unwrap();
    run.send(Approval { by: "bob".to_owned() }).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "ann bob");
    assert!(entries(client, "B").await.contains(&Entry::Begun));
    assert_eq!(world.log(), ["work"]);
}

async fn a_delayed_run_can_be_cancelled_before_it_begins(place: impl Place) {
    let world = World::default();
    let engine = engine(&place, &world).await;
    let run = engine.client().start(pays_and_works()).delay(Duration::from_secs(3600)).await.unwrap();
    assert_eq!(run.view().await.unwrap().state, RunState::Pending);
    run.cancel().await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Cancelled);
    assert!(world.log().is_empty());
}

async fn a_run_whose_moment_has_passed_begins_at_once(place: impl Place) {
    let world = World::default();
    let engine = engine(&place, &world).await;
    let run = engine.client().start(pays_and_works()).at(Timestamp::from_micros(0)).await.unwrap();
    run.result().await.unwrap();
    assert_eq!(world.log(), ["fee", "work"]);
}

async fn a_run_that_does_not_end_by_its_deadline_is_cancelled_and_undone(place: impl Place) {
    let world = World::default();
    world.plan("work", [Act::Hang]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(pays_and_works()).id("A").deadline(Duration::from_millis(50)).await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Cancelled);
    let details = engine.client().show("A").await.unwrap();
    let Some(Conclusion::Cancelled(request)) = details.conclusion else { panic!("not cancelled") };
    assert_eq!(request.reason.as_deref(), Some("the run's deadline is over"));
    let log = world.log();
    assert_eq!(log.contains(&"undo fee".to_owned()), log.contains(&"fee".to_owned()), "{log:?}");
    let run = engine.client().start(pays_and_works()).id("B").deadline(Duration::from_secs(3600)).await.unwrap();
    run.result().await.unwrap();
}

async fn a_deadline_holds_over_a_restart_and_outside_memory(place: impl Place) {
    let world = World::default();
    let client = Client::new(place.open().await);
    let start = client.start(on_approval()).id("A").deadline(Duration::from_millis(10));
    start.await.unwrap();
    drop(client);
    let engine = engine(&place, &world).await;
    let run = engine.client().attach::<on_approval>("A").await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Cancelled);
    let run = engine.client().start(on_approval()).id("B").deadline(Duration::from_secs(3600)).await.unwrap();
    while run.view().await.unwrap().state != RunState::Waiting {
        tokio::task::yield_now().await;
    }
}

async fn a_start_with_events_has_them_from_the_beginning(place: impl Place) {
    let engine = engine(&place, &World::default()).await;
    let start = |by: &str| {
        let (first, second) = (Approval { by: by.to_owned() }, Approval { by: "bob".to_owned() });
        engine.client().start(on_approval()).id("A").with_event(first).with_event(second)
    };
    let run = start("ann").await.unwrap();
    assert_eq!(run.result().await.unwrap(), "ann bob");
    assert!(!start("eve").await.unwrap().is_new());
    let received = |entry: &Entry| matches!(entry, Entry::EventReceived(_));
    assert_eq!(entries(engine.client(), "A").await.into_iter().filter(received).count(), 2);
}

async fn a_start_can_refuse_an_id_that_exists_or_replace_what_has_ended(place: impl Place) {
    let world = World::default();
    let engine = engine(&place, &world).await;
    let start = |policy| engine.client().start(pays_and_works()).id("A").on_existing(policy);
    let first = start(OnExisting::Reject).await.unwrap();
    first.result().await.unwrap();
    let error = start(OnExisting::Reject).await.unwrap_err();
    assert!(matches!(error, ClientError::Exists { .. }));
    assert_eq!(error.to_string(), "run A exists");
    assert_eq!(start(OnExisting::Return).await.unwrap().execution(), first.execution());
    let second = start(OnExisting::ReplaceFinished).await.unwrap();
    assert!(second.is_new() && second.execution() != first.execution());
    second.result().await.unwrap();
    assert_eq!(world.attempts("work").len(), 2);
}

async fn what_was_noted_at_the_start_is_listed_and_shown(place: impl Place) {
    let engine = engine(&place, &World::default()).await;
    let memo = serde_json::json!({ "note": "call back", "priority": 3 });
    let start = engine.client().start(pays_and_works()).id("A").attribute("customer", "4").memo(&memo);
    start.await.unwrap().result().await.unwrap();
    let query = Query { attributes: vec![("customer".to_owned(), "4".to_owned())], limit: 10, ..Query::default() };
    let listed = engine.client().list(&query).await.unwrap().runs.remove(0);
    assert_eq!(listed, engine.client().show("A").await.unwrap().view);
    let noted: Payload = decode(&listed.memo.unwrap()).unwrap();
    assert_eq!(noted.inline().unwrap(), &serde_json::to_vec(&memo).unwrap());
    let large = "x".repeat(100_000);
    let error = engine.client().start(pays_and_works()).memo(&large).await.unwrap_err();
    assert_eq!(error.to_string(), "the memo has 100002 bytes, the limit is 65536");
}
