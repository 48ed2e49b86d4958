//! New executions of runs that have children, or steps on queues.

use saga_runtime::Client;
use saga_runtime::prelude::*;
use saga_runtime::store::wire::Entry;
use saga_tests::steps::{SagaError, step, undo_step};
use saga_tests::{Act, Place, StepError, World, engine, engine_with, on_each_store};
use serde::{Deserialize, Serialize};

use crate::journal::entries;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
enum ParentError {
    #[error(transparent)]
    Child(#[from] ChildError<SagaError>),
    #[error(transparent)]
    Step(#[from] ActivityError<StepError>),
}

/// A completed one is undone.
#[workflow(compensate = undo_step(output))]
async fn sails(name: String) -> Result<String, SagaError> {
    Ok(step(format!("sail {name}")).await?)
}

/// With nothing to undo once it has completed.
#[workflow]
async fn strolls(name: String) -> Result<String, SagaError> {
    Ok(step(format!("stroll {name}")).await?)
}

#[activity(queue = "far", retry(initial = "1ms", max = "2ms"))]
async fn far(#[state] world: &World, #[context] cx: &ActivityContext, name: String) -> Result<String, StepError> {
    world.attempt(cx, &name).await
}

#[workflow]
async fn travels() -> Result<String, ParentError> {
    let strolled = strolls("a".to_owned()).id("stroll-a").await?;
    let sailed = sails("b".to_owned()).id("sail-b").await?;
    step("then".to_owned()).await?;
    Ok(format!("{strolled} {sailed}"))
}

#[workflow]
async fn checks_and_strolls() -> Result<String, ParentError> {
    step("check".to_owned()).await?;
    Ok(strolls("a".to_owned()).await?)
}

/// What is beside the step is under way when it is scheduled.
#[workflow]
async fn all_at_once() -> Result<String, ParentError> {
    let (strolled, sent, stepped) =
        join!(strolls("a".to_owned()), far("far".to_owned()), step("beside".to_owned())).await;
    Ok(format!("{} {} {}", strolled?, sent?, stepped?))
}

on_each_store!(
    a_retry_runs_the_child_again_that_was_undone_and_no_other,
    a_retry_begins_at_the_child_that_failed,
    a_fork_starts_for_itself_what_its_copy_has_under_way,
    a_fork_after_a_child_that_was_undone_is_refused,
);

async fn execution_of(client: &Client, id: &str) -> String {
    client.get(id).await.unwrap().execution.to_string()
}

async fn a_retry_runs_the_child_again_that_was_undone_and_no_other(place: impl Place) {
    let world = World::default();
    world.plan("then", [Act::Decline, Act::Decline]);
    let engine = engine(&place, &world).await;
    let client = engine.client();
    let run = client.start(travels()).id("A").await.unwrap();
    assert!(matches!(run.outcome().await.unwrap(), Outcome::Failed(_)));
    let (strolled, mut sailed) = (execution_of(client, "stroll-a").await, execution_of(client, "sail-b").await);
    for round in 0..2 {
        client.retry("A").await.unwrap();
        let outcome = client.attach::<travels>("A").await.unwrap().outcome().await.unwrap();
        match outcome {
            Outcome::Completed(value) if round == 1 => assert_eq!(value, "stroll a! sail b!"),
            Outcome::Failed(_) if round == 0 => {}
            other => panic!("round {round}: {other:?}"),
        }
        assert_eq!(execution_of(client, "stroll-a").await, strolled, "it has completed before");
        let before = std::mem::replace(&mut sailed, execution_of(client, "sail-b").await);
        assert_ne!(before, sailed, "it was undone");
    }
    let undone = ["sail b", "then", "undo sail b!"];
    assert_eq!(world.log(), [&["stroll a"][..], &undone, &undone, &["sail b", "then"]].concat());
    engine.shutdown().await;
}

async fn a_retry_begins_at_the_child_that_failed(place: impl Place) {
    let world = World::default();
    world.plan("stroll a", [Act::Decline]);
    let engine = engine(&place, &world).await;
    let client = engine.client();
    let run = client.start(checks_and_strolls()).id("A").await.unwrap();
    assert!(matches!(run.outcome().await.unwrap(), Outcome::Failed(_)));
    client.retry("A").await.unwrap();
    assert_eq!(client.attach::<checks_and_strolls>("A").await.unwrap().result().await.unwrap(), "stroll a!");
    assert_eq!(world.log(), ["check", "stroll a", "stroll a"]);
    engine.shutdown().await;
}

async fn a_fork_starts_for_itself_what_its_copy_has_under_way(place: impl Place) {
    let world = World::default();
    let engine = engine_with(&place, &world, |builder| builder.queues(["far"])).await;
    let client = engine.client();
    let run = client.start(all_at_once()).id("A").await.unwrap();
    assert_eq!(run.result().await.unwrap(), "stroll a! far! beside!");
    let beside = entries(client, "A").await.into_iter().find_map(|entry| match entry {
        Entry::StepScheduled(scheduled) if scheduled.errand.is_none() => Some(scheduled.op.to_string()),
        _ => None,
    });
    let beside = beside.unwrap();
    for (round, id) in [(2, "A"), (3, "B")] {
        client.fork("A", beside.as_str()).id(id).await.unwrap();
        let run = client.attach::<all_at_once>(id).await.unwrap();
        assert_eq!(run.result().await.unwrap(), "stroll a! far! beside!");
        for name in ["stroll a", "far", "beside"] {
            assert_eq!(world.attempts(name).len(), round, "{name} in {id}");
        }
    }
    engine.shutdown().await;
}

async fn a_fork_after_a_child_that_was_undone_is_refused(place: impl Place) {
    let world = World::default();
    world.plan("then", [Act::Decline]);
    let engine = engine(&place, &world).await;
    let client = engine.client();
    let run = client.start(travels()).id("A").await.unwrap();
    assert!(matches!(run.outcome().await.unwrap(), Outcome::Failed(_)));
    let error = client.fork("A", "2").await.unwrap_err().to_string();
    assert!(error.contains("step 1, which comes before step 2, has been undone"), "{error}");
    engine.shutdown().await;
}
