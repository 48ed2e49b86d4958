//! Points of no return: what was done before one stays, and the run goes on.

use saga_runtime::prelude::*;
use saga_runtime::store::wire::Entry;
use saga_tests::steps::{SagaError, pay, seal, step};
use saga_tests::{Act, Place, World, engine, on_each_store};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize, Classify)]
#[error("the post is slow")]
struct Slow;

#[activity(retriable, retry(initial = "1ms", max = "2ms"))]
async fn deliver(#[state] world: &World, #[context] cx: &ActivityContext, name: String) -> Result<String, Slow> {
    world.attempt(cx, &name).await.map_err(|_| Slow)
}

#[workflow]
async fn seals_what_it_paid() -> Result<(), SagaError> {
    pay("before".to_owned()).await?;
    seal("seal".to_owned()).await?;
    pay("after".to_owned()).await?;
    step("last".to_owned()).await?;
    Ok(())
}

on_each_store!(
    what_was_done_before_a_passed_pivot_is_not_undone,
    a_pivot_by_itself_drops_the_undos_before_it,
    a_failed_pivot_leaves_all_to_be_undone,
    a_pivot_of_unknown_outcome_is_settled_before_the_workflow_goes_on,
    a_cancel_past_the_pivot_is_refused_and_the_run_goes_on,
    a_cancel_under_a_pivot_that_succeeds_is_forgotten,
    a_run_that_is_killed_under_its_pivot_goes_on_behind_it,
    a_branch_beside_a_pivot_keeps_its_undos,
    a_pivot_in_an_attempt_holds_for_the_whole_run,
    a_retriable_step_is_retried_until_it_succeeds,
);

async fn what_was_done_before_a_passed_pivot_is_not_undone(place: impl Place) {
    let world = World::default();
    world.plan("last", [Act::Decline]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(seals_what_it_paid()).await.unwrap();
    assert!(matches!(run.outcome().await.unwrap(), Outcome::Failed(_)));
    assert_eq!(world.log(), ["before", "seal", "after", "last", "undo after"]);
}

async fn a_pivot_by_itself_drops_the_undos_before_it(place: impl Place) {
    #[workflow]
    async fn goes_on_for_good() -> Result<(), SagaError> {
        pay("before".to_owned()).await?;
        pivot().await;
        step("last".to_owned()).await?;
        Ok(())
    }
    let world = World::default();
    world.plan("last", [Act::Decline]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(goes_on_for_good()).await.unwrap();
    assert!(matches!(run.outcome().await.unwrap(), Outcome::Failed(_)));
    assert_eq!(world.log(), ["before", "last"]);
}

async fn a_failed_pivot_leaves_all_to_be_undone(place: impl Place) {
    let world = World::default();
    world.plan("seal", [Act::Lose, Act::Decline]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(seals_what_it_paid()).await.unwrap();
    assert!(matches!(run.outcome().await.unwrap(), Outcome::Failed(_)));
    assert_eq!(world.log(), ["before", "seal", "seal", "undo before"]);
}

async fn a_pivot_of_unknown_outcome_is_settled_before_the_workflow_goes_on(place: impl Place) {
    let world = World::default();
    world.plan("seal", [Act::Lose; 5]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(seals_what_it_paid()).await.unwrap();
    run.result().await.unwrap();
    let attempts = world.attempts("seal");
    assert_eq!(attempts.len(), 6, "five are the default, and left it unknown");
    assert!(attempts.iter().all(|attempt| attempt.key == attempts[0].key));
}

async fn a_cancel_past_the_pivot_is_refused_and_the_run_goes_on(place: impl Place) {
    let world = World::default();
    world.plan("after", [Act::Wait]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(seals_what_it_paid()).id("A").await.unwrap();
    world.began("after").await;
    for error in [run.cancel().await.unwrap_err(), engine.client().cancel("A").await.unwrap_err()] {
        assert!(error.is_past_pivot());
        assert_eq!(error.to_string(), "run A is past the pivot: it goes on to its end and is not cancelled any more");
    }
    world.open("after");
    run.result().await.unwrap();
    assert_eq!(world.log(), ["before", "seal", "after", "last"]);
}

async fn a_cancel_under_a_pivot_that_succeeds_is_forgotten(place: impl Place) {
    let world = World::default();
    world.plan("seal", [Act::Wait]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(seals_what_it_paid()).id("A").await.unwrap();
    world.began("seal").await;
    run.cancel().await.unwrap();
    asked_to_cancel(engine.client(), "A").await;
    world.open("seal");
    run.result().await.unwrap();
    assert_eq!(world.log(), ["before", "seal", "after", "last"]);
}

async fn a_run_that_is_killed_under_its_pivot_goes_on_behind_it(place: impl Place) {
    let world = World::default();
    world.plan("seal", [Act::Hang]);
    let first = engine(&place, &world).await;
    let run = first.client().start(seals_what_it_paid()).id("A").await.unwrap();
    world.began("seal").await;
    run.cancel().await.unwrap();
    asked_to_cancel(first.client(), "A").await;
    drop((run, first));
    let second = engine(&place, &world).await;
    let run = second.client().attach::<seals_what_it_paid>("A").await.unwrap();
    run.result().await.unwrap();
    assert_eq!(world.log(), ["before", "seal", "seal", "after", "last"]);
}

async fn a_branch_beside_a_pivot_keeps_its_undos(place: impl Place) {
    #[workflow]
    async fn pays_beside_a_pivot() -> Result<(), SagaError> {
        pay("before".to_owned()).await?;
        let (paid, sealed) = join!(pay("beside".to_owned()), async {
            pay("above".to_owned()).await?;
            seal("seal".to_owned()).await
        })
        .await;
        paid?;
        sealed?;
        step("last".to_owned()).await?;
        Ok(())
    }
    let world = World::default();
    world.plan("last", [Act::Decline]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(pays_beside_a_pivot()).await.unwrap();
    assert!(matches!(run.outcome().await.unwrap(), Outcome::Failed(_)));
    let undone: Vec<_> = world.log().into_iter().filter(|name| name.starts_with("undo")).collect();
    assert_eq!(undone, ["undo beside"]);
}

async fn a_pivot_in_an_attempt_holds_for_the_whole_run(place: impl Place) {
    #[workflow]
    async fn tries_to_seal() -> Result<(), SagaError> {
        pay("before".to_owned()).await?;
        let tried = attempt(async {
            pay("within".to_owned()).await?;
            seal("seal".to_owned()).await?;
            pay("behind".to_owned()).await?;
            step("fails".to_owned()).await
        })
        .await;
        tried?;
        Ok(())
    }
    let world = World::default();
    world.plan("fails", [Act::Decline]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(tries_to_seal()).await.unwrap();
    assert!(matches!(run.outcome().await.unwrap(), Outcome::Failed(_)));
    let undone: Vec<_> = world.log().into_iter().filter(|name| name.starts_with("undo")).collect();
    assert_eq!(undone, ["undo behind"]);
}

async fn a_retriable_step_is_retried_until_it_succeeds(place: impl Place) {
    #[derive(Debug, thiserror::Error, Serialize, Deserialize)]
    #[error(transparent)]
    struct Undelivered(#[from] ActivityError<Slow>);

    #[workflow]
    async fn delivers() -> Result<String, Undelivered> {
        Ok(deliver("parcel".to_owned()).await?)
    }
    let world = World::default();
    world.plan("parcel", [Act::Lose, Act::Refuse, Act::Decline].repeat(4));
    let engine = engine(&place, &world).await;
    let run = engine.client().start(delivers()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "parcel!");
    assert_eq!(world.attempts("parcel").len(), 13);
}

/// Waits until the journal tells of a cancel.
async fn asked_to_cancel(client: &saga_runtime::Client, id: &str) {
    loop {
        let details = client.show(id).await.unwrap();
        let mut entries = details.records.iter().flat_map(|record| &record.entries);
        if entries.any(|entry| matches!(entry, Entry::CancelRequested(_))) {
            return;
        }
        tokio::task::yield_now().await;
    }
}
