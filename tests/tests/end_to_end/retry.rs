//! Which attempts are repeated, when, and until when.

use std::time::Duration;

use saga_runtime::prelude::*;
use saga_runtime::store::wire::FailureKind;
use saga_tests::steps::{SagaError, pay, step};
use saga_tests::{Act, Place, StepError, World, engine, engine_with, on_each_store};

use crate::journal::{attempted, entries};

const HOUR: Duration = Duration::from_secs(3600);

/// Repeats at once, but not often.
const TWICE: RetryPolicy =
    RetryPolicy { max_attempts: Some(2), initial: Duration::from_millis(1), ..RetryPolicy::NONE };

#[workflow]
async fn two_steps() -> Result<String, SagaError> {
    let first = step("first".to_owned()).await?;
    let second = step("second".to_owned()).await?;
    Ok(format!("{first} {second}"))
}

on_each_store!(
    a_flaky_step_is_repeated_until_it_succeeds,
    a_step_has_one_key_for_all_attempts_and_no_other_step_has_it,
    a_call_can_set_its_own_key_which_outlives_the_execution,
    a_key_is_the_same_after_a_crash,
    a_key_that_is_none_is_refused,
    a_permanent_error_is_not_retried,
    the_last_attempt_ends_the_step_with_its_error,
    an_error_can_say_when_to_come_again,
    a_call_can_set_its_own_retry_policy,
    a_call_can_set_its_own_timeout,
    a_deadline_ends_all_attempts_together,
    a_deadline_drops_the_attempt_that_is_under_way,
    a_call_can_leave_its_undo_out,
);

async fn a_flaky_step_is_repeated_until_it_succeeds(place: impl Place) {
    let world = World::default();
    world.plan("first", [Act::Lose, Act::Refuse, Act::Panic]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(two_steps()).id("A").await.unwrap();
    assert_eq!(run.result().await.unwrap(), "first! second!");
    let numbers: Vec<u32> = world.attempts("first").iter().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    let failed = attempted(engine.client(), "A").await;
    let kinds: Vec<_> =
        failed.iter().map(|attempted| (attempted.attempt, attempted.failure.kind, attempted.unknown)).collect();
    let expected =
        [(1, FailureKind::Returned, true), (2, FailureKind::Returned, true), (3, FailureKind::Panicked, true)];
    assert_eq!(kinds, expected, "short delays ride on the next record, and are not lost");
    assert_eq!(engine.client().show("A").await.unwrap().records.len(), 4, "and cost no record of their own");
}

async fn a_step_has_one_key_for_all_attempts_and_no_other_step_has_it(place: impl Place) {
    let world = World::default();
    world.plan("first", [Act::Lose, Act::Lose]);
    let engine = engine(&place, &world).await;
    for id in ["A", "B"] {
        engine.client().start(two_steps()).id(id).await.unwrap().result().await.unwrap();
    }
    let mut keys: Vec<String> = world.attempts("first").into_iter().map(|attempt| attempt.key).collect();
    assert_eq!(keys.len(), 4);
    assert!(keys[0] == keys[1] && keys[1] == keys[2], "{keys:?}");
    keys.extend(world.attempts("second").into_iter().map(|attempt| attempt.key));
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 4, "two steps in each of two runs: {keys:?}");
}

/// Pays under the key of the order, here or on a queue.
#[workflow]
async fn pays_for(order: String, queue: Option<String>) -> Result<(), SagaError> {
    let call = pay("pay".to_owned()).key(order);
    match queue {
        Some(queue) => call.queue(queue).await?,
        None => call.await?,
    };
    step("fails".to_owned()).await?;
    Ok(())
}

async fn a_call_can_set_its_own_key_which_outlives_the_execution(place: impl Place) {
    let world = World::default();
    world.plan("pay", [Act::Lose]);
    world.plan("fails", [Act::Decline, Act::Decline]);
    let engine = engine_with(&place, &world, |builder| builder.queues(["far"])).await;
    for (id, queue) in [("A", None), ("B", Some("far".to_owned()))] {
        let call = pays_for("ORD-1".to_owned(), queue);
        let failed = engine.client().start(call).id(id).await.unwrap().outcome().await.unwrap();
        assert!(matches!(failed, Outcome::Failed(_)), "{failed:?}");
    }
    let keys: Vec<String> = world.attempts("pay").into_iter().map(|attempt| attempt.key).collect();
    assert_eq!(keys, ["ORD-1"; 3], "two attempts of one run, one of the other");
    let undo: Vec<String> = world.attempts("undo pay").into_iter().map(|attempt| attempt.key).collect();
    assert!(undo.len() == 2 && undo[0] != undo[1] && undo.iter().all(|key| key.ends_with("/undo")), "{undo:?}");
}

async fn a_key_is_the_same_after_a_crash(place: impl Place) {
    let world = World::default();
    world.plan("pay", [Act::Hang]);
    world.plan("fails", [Act::Decline]);
    let first = engine(&place, &world).await;
    first.client().start(pays_for("ORD-1".to_owned(), None)).id("A").await.unwrap();
    world.began("pay").await;
    drop(first);
    let second = engine(&place, &world).await;
    second.client().attach::<pays_for>("A").await.unwrap().outcome().await.unwrap();
    let keys: Vec<String> = world.attempts("pay").into_iter().map(|attempt| attempt.key).collect();
    assert_eq!(keys, ["ORD-1", "ORD-1"]);
}

async fn a_key_that_is_none_is_refused(place: impl Place) {
    let world = World::default();
    let engine = engine(&place, &world).await;
    let run = engine.client().start(pays_for("a\nb".to_owned(), None)).id("A").await.unwrap();
    let Outcome::Failed(SagaError::Step(error)) = run.outcome().await.unwrap() else { panic!("not refused") };
    assert_eq!(
        error.to_string(),
        "\"a\\nb\" is no idempotency key: one has 1 to 200 bytes, without control characters"
    );
    assert!(world.log().is_empty());
}

async fn a_permanent_error_is_not_retried(place: impl Place) {
    let world = World::default();
    world.plan("first", [Act::Decline]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(two_steps()).id("A").await.unwrap();
    assert_eq!(
        run.outcome().await.unwrap(),
        Outcome::Failed(SagaError::Step(ActivityError::Failed(StepError::Declined)))
    );
    assert_eq!(world.log(), ["first"]);
}

async fn the_last_attempt_ends_the_step_with_its_error(place: impl Place) {
    let world = World::default();
    world.plan("first", [Act::Lose, Act::Lose, Act::Lose, Act::Lose, Act::Refuse]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(two_steps()).id("A").await.unwrap();
    assert_eq!(
        run.outcome().await.unwrap(),
        Outcome::Failed(SagaError::Step(ActivityError::Failed(StepError::Refused)))
    );
    assert_eq!(world.log().len(), 5, "five attempts are the default");
    let failure = entries(engine.client(), "A").await.into_iter().find_map(|entry| match entry {
        saga_store::wire::Entry::StepFailed(failed) => Some(failed),
        _ => None,
    });
    let failure = failure.unwrap();
    assert_eq!((failure.attempt, failure.unknown), (5, true));
    assert_eq!(failure.failure.message, "queue full (after 5 attempts)");
}

async fn an_error_can_say_when_to_come_again(place: impl Place) {
    let world = World::default();
    world.plan("first", [Act::Postpone(HOUR)]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(two_steps()).id("A").await.unwrap();
    world.began("first").await;
    let failed = loop {
        match attempted(engine.client(), "A").await.pop() {
            Some(failed) => break failed,
            None => tokio::task::yield_now().await,
        }
    };
    let record = engine.client().show("A").await.unwrap().records.pop().unwrap();
    let waits = failed.retry_at - record.at().as_micros();
    assert!(waits > 3_599_000_000 && waits <= 3_600_000_000, "{waits}");
    assert_eq!(failed.failure.message, "come again in 3600s");
    run.cancel().await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Cancelled);
    assert_eq!(world.log(), ["first"]);
}

async fn a_call_can_set_its_own_retry_policy(place: impl Place) {
    #[workflow]
    async fn overrides_retry() -> Result<String, SagaError> {
        Ok(step("first".to_owned()).retry(TWICE).await?)
    }
    let world = World::default();
    world.plan("first", [Act::Lose, Act::Lose]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(overrides_retry()).await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Failed(SagaError::Step(ActivityError::Failed(StepError::Lost))));
    assert_eq!(world.log(), ["first", "first"]);
}

async fn a_call_can_set_its_own_timeout(place: impl Place) {
    #[workflow]
    async fn overrides_timeout() -> Result<String, SagaError> {
        Ok(step("first".to_owned()).timeout(Duration::from_millis(3)).retry(RetryPolicy::NONE).await?)
    }
    let world = World::default();
    world.plan("first", [Act::Hang]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(overrides_timeout()).await.unwrap();
    let message = "`step` timed out after 3ms".to_owned();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Failed(SagaError::Step(ActivityError::TimedOut(message))));
    world.heard("dropped first").await;
}

async fn a_deadline_ends_all_attempts_together(place: impl Place) {
    #[workflow]
    async fn has_a_deadline() -> Result<String, SagaError> {
        Ok(step("first".to_owned()).deadline(Duration::from_millis(20)).await?)
    }
    let world = World::default();
    world.plan("first", [Act::Postpone(HOUR)]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(has_a_deadline()).await.unwrap();
    let message = "`step` did not succeed before its deadline (1 attempts)".to_owned();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Failed(SagaError::Step(ActivityError::TimedOut(message))));
}

async fn a_deadline_drops_the_attempt_that_is_under_way(place: impl Place) {
    #[workflow]
    async fn has_a_deadline_and_hangs() -> Result<String, SagaError> {
        Ok(pay("first".to_owned()).deadline(Duration::from_millis(20)).await?)
    }
    let world = World::default();
    world.plan("first", [Act::Hang]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(has_a_deadline_and_hangs()).await.unwrap();
    let outcome = run.outcome().await.unwrap();
    assert!(matches!(outcome, Outcome::Failed(SagaError::Step(ActivityError::TimedOut(_)))), "{outcome:?}");
    world.heard("dropped first").await;
    assert_eq!(world.log(), ["first", "undo first"], "what it did is not known");
}

async fn a_call_can_leave_its_undo_out(place: impl Place) {
    #[workflow]
    async fn leaves_an_undo_out() -> Result<(), SagaError> {
        pay("kept".to_owned()).no_compensation().await?;
        pay("undone".to_owned()).await?;
        Err(SagaError::GivesUp)
    }
    let world = World::default();
    let engine = engine(&place, &world).await;
    let run = engine.client().start(leaves_an_undo_out()).await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Failed(SagaError::GivesUp));
    assert_eq!(world.log(), ["kept", "undone", "undo undone"]);
}
