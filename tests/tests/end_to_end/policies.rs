//! How steps are undone: the policy when that fails, and undos that are said at the call.

use saga_runtime::prelude::*;
use saga_tests::steps::{SagaError, pay, step, undo_step};
use saga_tests::{Act, Place, World, engine, on_each_store};

#[workflow(on_undo_failure = continue)]
async fn gives_up_and_undoes_what_can_be() -> Result<(), SagaError> {
    pay("a".to_owned()).await?;
    pay("b".to_owned()).await?;
    pay("c".to_owned()).await?;
    Err(SagaError::GivesUp)
}

#[workflow]
async fn undoes_by_the_call(fails: bool) -> Result<(), SagaError> {
    step("plain".to_owned()).compensate_with(undo_step("plain".to_owned())).await?;
    pay("paid".to_owned()).compensate_with(undo_step("paid in another way".to_owned())).await?;
    pay("kept".to_owned()).compensate_with(undo_step("never".to_owned())).no_compensation().await?;
    if fails {
        return Err(SagaError::GivesUp);
    }
    Ok(())
}

on_each_store!(
    undoing_goes_on_after_a_failed_undo_where_the_workflow_says_so,
    that_undoing_goes_on_is_recorded_and_survives_a_crash,
    an_undo_that_the_call_says_takes_the_place_of_the_declared_one,
    an_undo_that_the_call_says_runs_when_the_outcome_is_unknown,
);

async fn undoing_goes_on_after_a_failed_undo_where_the_workflow_says_so(place: impl Place) {
    let world = World::default();
    world.plan("undo b", [Act::Decline]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(gives_up_and_undoes_what_can_be()).id("A").await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Failed(SagaError::GivesUp));
    assert_eq!(world.log(), ["a", "b", "c", "undo c", "undo b", "undo a"]);
    let errors = run.undo_errors().await.unwrap();
    assert_eq!(errors.len(), 1);
    assert_eq!((errors[0].step.to_string(), errors[0].message.as_str()), ("1".to_owned(), "declined"));
    let fine = engine.client().start(gives_up_and_undoes_what_can_be()).id("B").await.unwrap();
    fine.outcome().await.unwrap();
    assert!(fine.undo_errors().await.unwrap().is_empty());
}

async fn that_undoing_goes_on_is_recorded_and_survives_a_crash(place: impl Place) {
    let world = World::default();
    world.plan("undo b", [Act::Decline]);
    world.plan("undo a", [Act::Hang]);
    let first = engine(&place, &world).await;
    first.client().start(gives_up_and_undoes_what_can_be()).id("A").await.unwrap();
    world.began("undo a").await;
    drop(first);
    let second = engine(&place, &world).await;
    let run = second.client().attach::<gives_up_and_undoes_what_can_be>("A").await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Failed(SagaError::GivesUp));
    assert_eq!(world.attempts("undo b").len(), 1);
    assert_eq!(run.undo_errors().await.unwrap().len(), 1);
}

async fn an_undo_that_the_call_says_takes_the_place_of_the_declared_one(place: impl Place) {
    let world = World::default();
    let engine = engine(&place, &world).await;
    let run = engine.client().start(undoes_by_the_call(true)).await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Failed(SagaError::GivesUp));
    assert_eq!(world.log(), ["plain", "paid", "kept", "undo paid in another way", "undo plain"]);
}

async fn an_undo_that_the_call_says_runs_when_the_outcome_is_unknown(place: impl Place) {
    let world = World::default();
    world.plan("plain", [Act::Lose, Act::Decline]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(undoes_by_the_call(false)).await.unwrap();
    assert!(matches!(run.outcome().await.unwrap(), Outcome::Failed(SagaError::Step(_))));
    assert_eq!(world.log(), ["plain", "plain", "undo plain"]);
}
