//! Branches that are let go: by `select!`, and by `try_join!` when another one fails.

use std::time::Duration;

use saga_runtime::prelude::*;
use saga_runtime::store::RunState;
use saga_tests::steps::{SagaError, book, pay, step};
use saga_tests::{Act, Place, World, engine, on_each_store};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize, Event)]
struct Approval {
    by: String,
}

const DAY: Duration = Duration::from_secs(86_400);

on_each_store!(
    the_first_that_is_done_wins_and_what_the_other_did_is_undone,
    a_run_is_not_final_before_a_dropped_branch_is_undone,
    a_dropped_attempt_that_may_have_had_effect_is_undone,
    a_dropped_step_whose_undo_needs_its_output_is_settled_first,
    an_event_and_a_timeout_race,
    an_event_is_waited_for_no_longer_than_said,
    the_first_error_of_a_try_join_drops_the_others,
    a_try_join_gives_all_values,
    a_dropped_branch_is_undone_after_a_restart,
    a_failing_run_undoes_a_dropped_branch_once,
);

/// Pays and then waits for ever in one branch, until the other is done.
#[workflow]
async fn races() -> Result<String, SagaError> {
    let winner = select! {
        lost = async { pay("loser".to_owned()).await?; sleep(DAY).await; Ok::<_, SagaError>("lost".to_owned()) } => lost?,
        won = step("winner".to_owned()) => won?,
    };
    step("after".to_owned()).await?;
    Ok(winner)
}

async fn the_first_that_is_done_wins_and_what_the_other_did_is_undone(place: impl Place) {
    let world = World::default();
    world.plan("winner", [Act::Wait]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(races()).id("A").await.unwrap();
    world.began("winner").await;
    world.began("loser").await;
    while engine.client().show("A").await.unwrap().records.len() < 3 {
        tokio::task::yield_now().await;
    }
    world.open("winner");
    assert_eq!(run.result().await.unwrap(), "winner!");
    assert_eq!(world.attempts("undo loser").len(), 1);
}

async fn a_run_is_not_final_before_a_dropped_branch_is_undone(place: impl Place) {
    let world = World::default();
    world.plan("winner", [Act::Wait]);
    world.plan("undo loser", [Act::Wait]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(races()).id("A").await.unwrap();
    world.began("winner").await;
    world.began("loser").await;
    world.open("winner");
    world.began("undo loser").await;
    world.began("after").await;
    assert!(!run.view().await.unwrap().state.is_final());
    world.open("undo loser");
    assert_eq!(run.result().await.unwrap(), "winner!");
    assert_eq!(run.view().await.unwrap().state, RunState::Completed);
}

/// Lets go of what is under way.
#[workflow]
async fn lets_go(booking: bool) -> Result<String, SagaError> {
    let won = select! {
        lost = async { if booking { book("room".to_owned()).await } else { pay("room".to_owned()).await } } => lost?,
        won = step("winner".to_owned()) => won?,
    };
    Ok(won)
}

async fn a_dropped_attempt_that_may_have_had_effect_is_undone(place: impl Place) {
    let world = World::default();
    world.plan("room", [Act::Wait]);
    world.plan("winner", [Act::Wait]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(lets_go(false)).await.unwrap();
    world.began("room").await;
    world.began("winner").await;
    world.open("winner");
    assert_eq!(run.result().await.unwrap(), "winner!");
    assert_eq!(world.attempts("undo room").len(), 1, "nobody knows whether it happened");
}

async fn a_dropped_step_whose_undo_needs_its_output_is_settled_first(place: impl Place) {
    let world = World::default();
    world.plan("room", [Act::Wait]);
    world.plan("winner", [Act::Wait]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(lets_go(true)).await.unwrap();
    world.began("room").await;
    world.began("winner").await;
    world.open("winner");
    while engine.client().show(run.id().as_str()).await.unwrap().records.len() < 3 {
        tokio::task::yield_now().await;
    }
    assert!(!run.view().await.unwrap().state.is_final(), "the booking is still under way");
    world.open("room");
    assert_eq!(run.result().await.unwrap(), "winner!");
    assert_eq!(world.log().last().unwrap(), "undo room!");
}

/// Waits for an approval, for a day.
#[workflow]
async fn waits_for_approval(patience: Duration) -> Result<String, SagaError> {
    let by = select! {
        approval = event::<Approval>() => approval.by,
        () = sleep(patience) => "nobody".to_owned(),
    };
    Ok(by)
}

async fn an_event_and_a_timeout_race(place: impl Place) {
    let world = World::default();
    let engine = engine(&place, &world).await;
    let late = engine.client().start(waits_for_approval(Duration::from_millis(1))).await.unwrap();
    assert_eq!(late.result().await.unwrap(), "nobody");
    let run = engine.client().start(waits_for_approval(DAY)).await.unwrap();
    run.send(Approval { by: "me".to_owned() }).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "me");
}

/// Waits for an approval, for that long.
#[workflow]
async fn waits_no_longer(patience: Duration) -> Result<Option<String>, SagaError> {
    let in_time: Result<Approval, saga_runtime::Elapsed> = event::<Approval>().timeout(patience).await;
    Ok(in_time.ok().map(|approval| approval.by))
}

async fn an_event_is_waited_for_no_longer_than_said(place: impl Place) {
    let world = World::default();
    let engine = engine(&place, &world).await;
    let late = engine.client().start(waits_no_longer(Duration::from_millis(1))).await.unwrap();
    assert_eq!(late.result().await.unwrap(), None);
    let run = engine.client().start(waits_no_longer(DAY)).await.unwrap();
    run.send(Approval { by: "me".to_owned() }).await.unwrap();
    assert_eq!(run.result().await.unwrap(), Some("me".to_owned()));
}

/// Two at once, and then the run fails if it is told to.
#[workflow]
async fn tries_both(fails: bool) -> Result<Vec<String>, SagaError> {
    let both = try_join!(
        async {
            let paid = pay("left".to_owned()).await?;
            step("left again".to_owned()).await?;
            Ok::<_, SagaError>(paid)
        },
        async {
            step("gate".to_owned()).await?;
            Ok(step("right".to_owned()).await?)
        },
    )
    .await;
    let values = match both {
        Ok((left, right)) => vec![left, right],
        Err(error) if fails => return Err(error),
        Err(_) => Vec::new(),
    };
    step("after".to_owned()).await?;
    Ok(values)
}

async fn the_first_error_of_a_try_join_drops_the_others(place: impl Place) {
    let world = World::default();
    world.plan("left again", [Act::Wait]);
    world.plan("gate", [Act::Wait]);
    world.plan("right", [Act::Decline]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(tries_both(false)).await.unwrap();
    world.began("left again").await;
    world.open("gate");
    assert_eq!(run.result().await.unwrap(), Vec::<String>::new(), "the right branch was declined");
    assert_eq!(world.attempts("undo left").len(), 1);
}

async fn a_try_join_gives_all_values(place: impl Place) {
    let world = World::default();
    let engine = engine(&place, &world).await;
    let run = engine.client().start(tries_both(false)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), ["left!", "right!"]);
    assert!(world.attempts("undo left").is_empty());
}

async fn a_dropped_branch_is_undone_after_a_restart(place: impl Place) {
    let world = World::default();
    world.plan("winner", [Act::Wait]);
    world.plan("undo loser", [Act::Wait]);
    let first = engine(&place, &world).await;
    first.client().start(races()).id("A").await.unwrap();
    world.began("winner").await;
    world.began("loser").await;
    world.open("winner");
    world.began("undo loser").await;
    drop(first);
    let second = engine(&place, &world).await;
    world.open("undo loser");
    let run = second.client().attach::<races>("A").await.unwrap();
    assert_eq!(run.result().await.unwrap(), "winner!");
    let keys: std::collections::BTreeSet<_> = world.attempts("undo loser").into_iter().map(|a| a.key).collect();
    assert_eq!(keys.len(), 1, "the undo has one key, however often it is attempted");
}

async fn a_failing_run_undoes_a_dropped_branch_once(place: impl Place) {
    let world = World::default();
    world.plan("gate", [Act::Wait]);
    world.plan("right", [Act::Decline]);
    world.plan("left again", [Act::Wait]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(tries_both(true)).await.unwrap();
    world.began("left again").await;
    world.open("gate");
    assert!(matches!(run.outcome().await.unwrap(), Outcome::Failed(SagaError::Step(_))));
    assert_eq!(world.attempts("undo left").len(), 1, "{:?}", world.log());
}
