//! Values in one format or another, and limits that change while runs live.

use saga_runtime::prelude::*;
use saga_runtime::store::wire::{Encoding, Entry};
use saga_runtime::{Codec, EngineBuilder, History, HistoryError};
use saga_tests::steps::{SagaError, book, step, undo_step};
use saga_tests::{Act, Place, StepError, World, engine_with, on_each_store};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Event)]
struct Address {
    street: String,
    number: Option<u16>,
}

fn address() -> Address {
    Address { street: "Allee".to_owned(), number: Some(7) }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Progress {
    Packed { items: u32 },
}

#[workflow]
async fn a_child(to: Address) -> Result<Address, SagaError> {
    Ok(Address { number: None, ..to })
}

#[activity(retry(max_attempts = 1))]
async fn elsewhere(#[state] world: &World, #[context] cx: &ActivityContext, to: Address) -> Result<Address, StepError> {
    world.attempt(cx, "elsewhere").await?;
    Ok(to)
}

/// Records a value of each sort, and fails in the end.
#[workflow]
async fn says_all(to: Address) -> Result<(), SagaError> {
    let host = side_effect(|| ("host".to_owned(), 1_u64)).await;
    set_status(Progress::Packed { items: 3 });
    undo(undo_step("by hand".to_owned()));
    book("b".to_owned()).await?;
    let was = elsewhere(to.clone()).queue("q").await?;
    let child = a_child(was.clone()).await.map_err(|_| SagaError::GivesUp)?;
    step("waits".to_owned()).await?;
    let came: Address = event::<Address>().await;
    assert_eq!((host.1, &came, child.number), (1, &was, None));
    elsewhere(came).queue("q").await?;
    Ok(())
}

/// Wants more than it may have, and makes do without.
#[workflow]
async fn makes_do(bytes: u32, then: String) -> Result<String, SagaError> {
    let large = "x".repeat(bytes as usize);
    let refused = [
        matches!(step(large.clone()).await, Err(ActivityError::Payload(_))),
        a_child(Address { street: large.clone(), number: None }).await.is_err(),
        send("nobody", Address { street: large, number: None }).await.is_err(),
    ];
    step(then).await?;
    Ok(format!("{refused:?}"))
}

/// Has a large value in its journal before it waits.
#[workflow]
async fn carries(value: String) -> Result<String, SagaError> {
    let first = step(value).await?;
    step("waits".to_owned()).await?;
    Ok(first)
}

on_each_store!(
    a_worker_goes_on_with_a_run_in_another_format,
    a_limit_that_was_raised_changes_nothing_about_a_run,
    a_limit_that_was_lowered_takes_nothing_away,
    what_a_client_gives_has_a_limit_too,
);

fn codec(codec: Codec) -> impl Fn(EngineBuilder) -> EngineBuilder {
    move |builder| builder.codec(codec).queues(["q"])
}

fn limit(bytes: usize) -> impl Fn(EngineBuilder) -> EngineBuilder {
    move |builder| builder.payload_limit(bytes)
}

async fn a_worker_goes_on_with_a_run_in_another_format(place: impl Place) {
    for (before, after) in [(Codec::MessagePack, Codec::Json), (Codec::Json, Codec::MessagePack)] {
        let (world, id) = (World::default(), format!("{before}"));
        world.plan("waits", [Act::Hang]);
        let first = engine_with(&place, &world, codec(before)).await;
        let run = first.client().start(says_all(address())).id(&id).await.unwrap();
        world.began("waits").await;
        drop((run, first));
        world.plan("elsewhere", [Act::Decline]);
        let second = engine_with(&place, &world, codec(after)).await;
        let run = second.client().attach::<says_all>(&id).await.unwrap();
        assert_eq!(run.status::<Progress>().await.unwrap(), Some(Progress::Packed { items: 3 }));
        run.send(address()).await.unwrap();
        let Outcome::Failed(SagaError::Step(ActivityError::Failed(_))) = run.outcome().await.unwrap() else {
            panic!("it does not fail with what the step on the queue returned");
        };
        assert_eq!(world.log()[4..], ["elsewhere", "undo b!", "undo by hand"], "{:?}", world.log());

        let shown = second.client().show(&id).await.unwrap();
        let mut encodings = Vec::new();
        for mut entry in shown.records.iter().flat_map(|record| record.entries.clone()) {
            if !matches!(entry, Entry::Claimed(_)) {
                entry.for_each_payload(|payload| encodings.push(payload.encoding));
            }
        }
        for encoding in [Encoding::JSON, Encoding::MESSAGE_PACK] {
            assert!(encodings.contains(&encoding), "{before}: {encodings:?}");
        }
        let history = shown.history().unwrap();
        let lines = history.lines().join("\n");
        for line in [
            r#"started `says_all` version 1 with {"to":{"street":"Allee","number":7}}"#,
            r#"recorded: ["host",1]"#,
            r#"`undo_step` with {"name":"by hand"}"#,
            r#"event `Address` came: {"street":"Allee","number":7}"#,
        ] {
            assert!(lines.contains(line), "{before}: {line} in {lines}");
        }
        assert_eq!(again(&history).unwrap(), history);
    }
}

fn again(history: &History) -> Result<History, HistoryError> {
    History::import(&history.export())
}

async fn a_limit_that_was_raised_changes_nothing_about_a_run(place: impl Place) {
    let world = World::default();
    world.plan("waits", [Act::Hang]);
    let first = engine_with(&place, &world, limit(1_000)).await;
    let run = first.client().start(makes_do(2_000, "waits".to_owned())).id("A").await.unwrap();
    world.began("waits").await;
    drop((run, first));
    for _ in 0..2 {
        world.plan("waits", [Act::Hang]);
        let next = engine_with(&place, &world, limit(100_000)).await;
        world.began("waits").await;
        drop(next);
    }
    let last = engine_with(&place, &world, limit(100)).await;
    let run = last.client().attach::<makes_do>("A").await.unwrap();
    assert_eq!(run.result().await.unwrap(), "[true, true, true]");
    assert_eq!(world.log(), ["waits"; 4]);
    let lines = last.client().show("A").await.unwrap().history().unwrap().lines().join("\n");
    assert!(lines.contains("0 refused: the input of `step` cannot be recorded"), "{lines}");
    assert!(lines.contains("the limit is 1000; keep large data elsewhere"), "{lines}");
}

async fn a_limit_that_was_lowered_takes_nothing_away(place: impl Place) {
    let world = World::default();
    let large = "x".repeat(2_000);
    world.plan("waits", [Act::Hang]);
    let first = engine_with(&place, &world, limit(10_000)).await;
    let run = first.client().start(carries(large.clone())).id("A").await.unwrap();
    world.began("waits").await;
    drop((run, first));
    let second = engine_with(&place, &world, limit(100)).await;
    let run = second.client().attach::<carries>("A").await.unwrap();
    let Outcome::Dead(reason) = run.outcome().await.unwrap() else { panic!("the result is over the limit") };
    assert!(reason.contains("the workflow's result cannot be recorded"), "{reason}");
    assert!(reason.contains("the limit is 100"), "{reason}");
    assert_eq!(world.log(), [large.as_str(), "waits", "waits"], "what was recorded was not refused");
}

async fn what_a_client_gives_has_a_limit_too(place: impl Place) {
    let engine = engine_with(&place, &World::default(), limit(1_000)).await;
    let client = engine.client();
    let large = Address { street: "x".repeat(2_000), number: None };
    let refused = |error: saga_runtime::ClientError| {
        let error = error.to_string();
        assert!(error.contains("the limit is 1000") && error.contains("raise `payload_limit`"), "{error}");
    };
    refused(client.start(a_child(large.clone())).id("A").await.unwrap_err());
    assert!(client.get("A").await.unwrap_err().is_no_run());
    refused(client.start(says_all(address())).id("A").with_event(large.clone()).await.unwrap_err());
    refused(client.send("A", large.clone()).await.unwrap_err());
    let json = serde_json::to_string(&large).unwrap();
    let error = client.send_json("A", "Address", &json).await.unwrap_err().to_string();
    assert!(error.contains("the limit is 1000"), "{error}");
    let patient = client.clone().payload_limit(10_000).codec(Codec::MessagePack);
    let run = patient.start(a_child(large.clone())).id("A").await.unwrap();
    let Outcome::Dead(reason) = run.outcome().await.unwrap() else { panic!("the worker's own limit holds") };
    assert!(reason.contains("the limit is 1000"), "{reason}");
}
