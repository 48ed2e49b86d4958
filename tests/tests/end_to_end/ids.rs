//! Runs by their ids: starting again, finding again, listing, showing.

use std::collections::BTreeSet;
use std::future::IntoFuture;

use saga_runtime::Client;
use saga_runtime::prelude::*;
use saga_runtime::store::{Query, RunState};
use saga_tests::steps::{SagaError, step};
use saga_tests::{Act, Place, World, engine, on_each_store};

#[workflow]
async fn makes_steps(count: u32) -> Result<u32, SagaError> {
    for number in 0..count {
        step(format!("step {number}")).await?;
    }
    Ok(count)
}

#[workflow]
async fn does_something_else(count: u32) -> Result<u32, SagaError> {
    Ok(count)
}

on_each_store!(
    the_same_id_gives_the_same_run,
    a_start_with_another_input_is_flagged,
    another_workflow_under_the_id_is_an_error,
    a_run_is_found_again_by_its_id,
    a_text_that_cannot_be_an_id_is_an_error,
    an_id_can_be_used_again_when_its_run_has_ended,
    a_run_without_an_id_gets_a_fresh_one,
    many_starts_at_once_are_each_answered,
    a_run_whose_starter_went_away_is_driven_all_the_same,
    runs_are_listed_by_workflow_state_and_id,
    a_run_of_n_steps_costs_n_plus_two_records,
    a_result_is_there_after_a_restart,
    a_client_without_an_engine_starts_runs_and_gets_their_results,
);

async fn the_same_id_gives_the_same_run(place: impl Place) {
    let world = World::default();
    world.plan("step 0", [Act::Wait]);
    let engine = engine(&place, &world).await;
    let first = engine.client().start(makes_steps(1)).id("A").await.unwrap();
    let again = engine.client().start(makes_steps(1)).id("A").await.unwrap();
    world.open("step 0");
    assert_eq!(again.result().await.unwrap(), 1);
    let late = engine.client().start(makes_steps(1)).id("A").await.unwrap();
    assert_eq!(late.result().await.unwrap(), 1);
    assert_eq!([first.is_new(), again.is_new(), late.is_new()], [true, false, false]);
    assert!(first.execution() == again.execution() && again.execution() == late.execution());
    assert!(!again.input_differs() && !late.input_differs());
    assert_eq!(world.log(), ["step 0"]);
}

async fn a_start_with_another_input_is_flagged(place: impl Place) {
    let engine = engine(&place, &World::default()).await;
    engine.client().start(makes_steps(1)).id("A").await.unwrap();
    let other = engine.client().start(makes_steps(2)).id("A").await.unwrap();
    assert!(!other.is_new() && other.input_differs());
    assert_eq!(other.result().await.unwrap(), 1, "the run goes on with its own input");
}

async fn another_workflow_under_the_id_is_an_error(place: impl Place) {
    let engine = engine(&place, &World::default()).await;
    engine.client().start(makes_steps(0)).id("A").await.unwrap();
    let start = engine.client().start(does_something_else(0)).id("A").await.unwrap_err();
    let attach = engine.client().attach::<does_something_else>("A").await.unwrap_err();
    for error in [start, attach] {
        let expected = "run A is one of workflow `makes_steps`, not of `does_something_else`; choose another id";
        assert_eq!(error.to_string(), expected);
    }
}

async fn a_run_is_found_again_by_its_id(place: impl Place) {
    let engine = engine(&place, &World::default()).await;
    let run = engine.client().start(makes_steps(2)).id("A").await.unwrap();
    let found = engine.client().attach::<makes_steps>("A").await.unwrap();
    assert_eq!(found.execution(), run.execution());
    assert_eq!(found.result().await.unwrap(), 2);
    assert!(engine.client().attach::<makes_steps>("B").await.unwrap_err().is_no_run());
}

async fn a_text_that_cannot_be_an_id_is_an_error(place: impl Place) {
    let engine = engine(&place, &World::default()).await;
    for id in ["", "a\nb", &"x".repeat(513)] {
        let error = engine.client().start(makes_steps(0)).id(id).await.unwrap_err();
        assert!(error.to_string().contains("cannot be a run id"), "{error}");
    }
}

async fn an_id_can_be_used_again_when_its_run_has_ended(place: impl Place) {
    let world = World::default();
    let engine = engine(&place, &world).await;
    let first = engine.client().start(makes_steps(1)).id("A").await.unwrap();
    first.result().await.unwrap();
    world.plan("step 0", [Act::Wait]);
    let second = engine.client().start(makes_steps(2)).id("A").replace_finished().await.unwrap();
    assert!(second.is_new() && second.execution() != first.execution());
    let third = engine.client().start(makes_steps(3)).id("A").replace_finished().await.unwrap();
    assert!(!third.is_new(), "it has not ended");
    world.open("step 0");
    assert_eq!(third.result().await.unwrap(), 2);
    assert_eq!(first.result().await.unwrap(), 1, "a handle is for its own execution");
}

async fn a_run_without_an_id_gets_a_fresh_one(place: impl Place) {
    let engine = engine(&place, &World::default()).await;
    let mut ids = BTreeSet::new();
    for _ in 0..3 {
        let run = engine.client().start(makes_steps(0)).await.unwrap();
        run.result().await.unwrap();
        ids.insert(run.id().clone());
    }
    assert_eq!(ids.len(), 3);
}

async fn runs_are_listed_by_workflow_state_and_id(place: impl Place) {
    let world = World::default();
    world.plan("step 0", [Act::Decline]);
    let engine = engine(&place, &world).await;
    let client = engine.client();
    for id in ["ORD-1", "ORD-2", "INV-1"] {
        let count = u32::from(id == "ORD-2");
        client.start(makes_steps(count)).id(id).await.unwrap().outcome().await.unwrap();
    }
    client.start(does_something_else(0)).id("ORD-3").await.unwrap().result().await.unwrap();
    let list = async |query: Query| {
        let page = client.list(&Query { limit: 10, ..query }).await.unwrap();
        page.runs.into_iter().map(|run| run.id.to_string()).collect::<Vec<_>>()
    };
    let all = list(Query::default()).await;
    assert_eq!(all.iter().map(String::as_str).collect::<BTreeSet<_>>(), ["INV-1", "ORD-1", "ORD-2", "ORD-3"].into());
    assert_eq!(list(Query { states: vec![RunState::Failed], ..Query::default() }).await, ["ORD-2"]);
    assert_eq!(list(Query { id_prefix: Some("INV".to_owned()), ..Query::default() }).await, ["INV-1"]);
    let workflow = Some("does_something_else".to_owned());
    assert_eq!(list(Query { workflow, ..Query::default() }).await, ["ORD-3"]);
    let mut paged = Vec::new();
    let mut query = Query { limit: 3, ..Query::default() };
    loop {
        let page = client.list(&query).await.unwrap();
        paged.extend(page.runs.into_iter().map(|run| run.id.to_string()));
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    assert_eq!(paged, all);
}

async fn a_run_of_n_steps_costs_n_plus_two_records(place: impl Place) {
    let engine = engine(&place, &World::default()).await;
    for count in [0, 1, 10] {
        let id = count.to_string();
        engine.client().start(makes_steps(count)).id(&id).await.unwrap().result().await.unwrap();
        let records = engine.client().show(&id).await.unwrap().records;
        assert_eq!(records.len(), count as usize + 2, "{records:#?}");
    }
}

async fn a_result_is_there_after_a_restart(place: impl Place) {
    let world = World::default();
    world.plan("step 1", [Act::Decline]);
    let first = engine(&place, &world).await;
    first.client().start(makes_steps(1)).id("A").await.unwrap().outcome().await.unwrap();
    first.client().start(makes_steps(2)).id("B").await.unwrap().outcome().await.unwrap();
    drop(first);
    let second = engine(&place, &world).await;
    assert_eq!(second.client().start(makes_steps(1)).id("A").await.unwrap().result().await.unwrap(), 1);
    let failed = second.client().attach::<makes_steps>("B").await.unwrap().result().await.unwrap_err();
    assert_eq!(failed.to_string(), "declined");
    assert!(failed.as_failed().is_some());
    assert_eq!(world.log(), ["step 0", "step 0", "step 1"]);
}

async fn a_client_without_an_engine_starts_runs_and_gets_their_results(place: impl Place) {
    let world = World::default();
    let engine = engine(&place, &world).await;
    // A second handle to the same place, as another process has it.
    let client = Client::new(place.beside().await);
    for count in 0..3 {
        let run = client.start(makes_steps(count)).id(count.to_string()).await.unwrap();
        assert_eq!(run.result().await.unwrap(), count);
    }
    world.plan("step 0", [Act::Hang]);
    let run = client.start(makes_steps(1)).id("X").await.unwrap();
    world.began("step 0").await;
    run.cancel().await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Cancelled);
    drop(engine);
}

async fn many_starts_at_once_are_each_answered(place: impl Place) {
    let engine = engine(&place, &World::default()).await;
    let starts = (0..60_u32).map(|number| {
        let client = engine.client().clone();
        tokio::spawn(async move {
            // Each id three times; every fourth start has none.
            match number % 4 {
                0 => client.start(makes_steps(1)).await.unwrap(),
                _ => client.start(makes_steps(1)).id(format!("RUN-{}", number / 12)).await.unwrap(),
            }
        })
    });
    let starts: Vec<_> = starts.collect();
    let (mut new, mut executions) = (0, BTreeSet::new());
    for start in starts {
        let run = start.await.unwrap();
        assert_eq!(run.result().await.unwrap(), 1);
        new += u32::from(run.is_new());
        executions.insert(run.execution());
    }
    assert_eq!((new, executions.len()), (15 + 5, 15 + 5));
}

async fn a_run_whose_starter_went_away_is_driven_all_the_same(place: impl Place) {
    let engine = engine(&place, &World::default()).await;
    let mut start = engine.client().start(makes_steps(1)).id("A").into_future();
    let first = std::future::poll_fn(|cx| std::task::Poll::Ready(start.as_mut().poll(cx).is_ready())).await;
    assert!(!first, "the store has not answered yet");
    drop(start);
    let run = loop {
        match engine.client().attach::<makes_steps>("A").await {
            Ok(run) => break run,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    assert_eq!(run.result().await.unwrap(), 1);
}
