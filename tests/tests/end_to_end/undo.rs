//! What is undone, in which order, and until when.

use std::time::Duration;

use saga_runtime::prelude::*;
use saga_runtime::store::RunState;
use saga_tests::steps::{SagaError, book, pay, step};
use saga_tests::{Act, Place, StepError, World, engine, on_each_store};

/// Makes these payments one after another, then gives up.
#[workflow]
async fn pays_then_gives_up(names: Vec<String>) -> Result<(), SagaError> {
    for name in names {
        pay(name).await?;
    }
    Err(SagaError::GivesUp)
}

/// Pays, books, and goes on with whatever the booking gave.
#[workflow]
async fn pays_and_books() -> Result<(), SagaError> {
    pay("fee".to_owned()).await?;
    let booked = book("room".to_owned()).await;
    step("note".to_owned()).await?;
    booked?;
    Err(SagaError::GivesUp)
}

on_each_store!(
    steps_are_undone_in_reverse,
    steps_that_overlapped_are_undone_at_the_same_time,
    an_undo_gets_the_output_of_its_step,
    what_may_have_happened_is_undone,
    what_surely_did_not_happen_is_not_undone,
    a_step_that_timed_out_is_undone,
    a_step_whose_undo_needs_its_output_is_settled_first,
    a_step_that_settles_as_not_done_is_not_undone,
    nothing_is_undone_when_the_workflow_copes_with_the_error,
    a_failing_undo_is_repeated_until_it_works,
    an_undo_that_fails_for_good_makes_the_run_dead,
);

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

async fn steps_are_undone_in_reverse(place: impl Place) {
    let world = World::default();
    let engine = engine(&place, &world).await;
    let run = engine.client().start(pays_then_gives_up(names(&["a", "b", "c"]))).await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Failed(SagaError::GivesUp));
    assert_eq!(world.log(), ["a", "b", "c", "undo c", "undo b", "undo a"]);
}

async fn steps_that_overlapped_are_undone_at_the_same_time(place: impl Place) {
    #[workflow]
    async fn overlaps() -> Result<(), SagaError> {
        pay("before".to_owned()).await?;
        let (left, right) = join!(pay("left".to_owned()), book("right".to_owned())).await;
        left?;
        right?;
        Err(SagaError::GivesUp)
    }
    let world = World::default();
    world.plan("undo left", [Act::Wait]);
    world.plan("undo right!", [Act::Wait]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(overlaps()).await.unwrap();
    world.began("undo left").await;
    world.began("undo right!").await;
    assert_eq!(run.view().await.unwrap().state, RunState::Undoing);
    world.open("undo left");
    assert!(world.attempts("undo before").is_empty(), "one of the two is still being undone");
    world.open("undo right!");
    assert_eq!(run.outcome().await.unwrap(), Outcome::Failed(SagaError::GivesUp));
    assert_eq!(world.log().last().unwrap(), "undo before");
}

async fn an_undo_gets_the_output_of_its_step(place: impl Place) {
    let world = World::default();
    let engine = engine(&place, &world).await;
    let run = engine.client().start(pays_and_books()).await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Failed(SagaError::GivesUp));
    assert_eq!(world.log(), ["fee", "room", "note", "undo room!", "undo fee"]);
    let (done, undone) = (world.attempts("fee").remove(0).key, world.attempts("undo fee").remove(0).key);
    assert_eq!(undone, format!("{done}/undo"), "an undo has a key of its own");
}

async fn what_may_have_happened_is_undone(place: impl Place) {
    let world = World::default();
    for (number, acts) in [[Act::Lose; 5], [Act::Panic; 5]].into_iter().enumerate() {
        world.plan(&format!("pay {number}"), acts);
    }
    world.plan("pay 2", [Act::Lose, Act::Decline]);
    world.plan("pay 3", [Act::Lose, Act::Refuse, Act::Refuse, Act::Refuse, Act::Refuse]);
    let engine = engine(&place, &world).await;
    for number in 0..4 {
        let name = format!("pay {number}");
        let run = engine.client().start(pays_then_gives_up(vec![name.clone()])).await.unwrap();
        let outcome = run.outcome().await.unwrap();
        assert!(matches!(outcome, Outcome::Failed(SagaError::Step(_))), "{outcome:?}");
        assert_eq!(world.attempts(&format!("undo {name}")).len(), 1, "{name}");
    }
}

async fn what_surely_did_not_happen_is_not_undone(place: impl Place) {
    let world = World::default();
    world.plan("declined", [Act::Decline]);
    world.plan("refused", [Act::Refuse; 5]);
    world.plan("refused, then declined", [Act::Refuse, Act::Decline]);
    let engine = engine(&place, &world).await;
    for name in ["declined", "refused", "refused, then declined"] {
        let run = engine.client().start(pays_then_gives_up(names(&["first", name]))).await.unwrap();
        let outcome = run.outcome().await.unwrap();
        assert!(matches!(outcome, Outcome::Failed(SagaError::Step(ActivityError::Failed(_)))), "{outcome:?}");
        assert!(world.attempts(&format!("undo {name}")).is_empty(), "{name}");
    }
    assert_eq!(world.attempts("undo first").len(), 3);
}

async fn a_step_that_timed_out_is_undone(place: impl Place) {
    #[workflow]
    async fn pays_slowly() -> Result<(), SagaError> {
        pay("slowly".to_owned()).timeout(Duration::from_millis(2)).retry(RetryPolicy::NONE).await?;
        Ok(())
    }
    let world = World::default();
    world.plan("slowly", [Act::Hang]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(pays_slowly()).await.unwrap();
    assert!(matches!(run.outcome().await.unwrap(), Outcome::Failed(SagaError::Step(ActivityError::TimedOut(_)))));
    assert_eq!(world.log(), ["slowly", "undo slowly"]);
}

async fn a_step_whose_undo_needs_its_output_is_settled_first(place: impl Place) {
    let world = World::default();
    world.plan("room", [Act::Lose, Act::Lose, Act::Lose, Act::Lose, Act::Lose, Act::Wait]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(pays_and_books()).await.unwrap();
    for _ in 0..6 {
        world.began("room").await;
    }
    assert_eq!(world.attempts("undo fee"), [], "what came before is undone after it");
    world.open("room");
    let lost = SagaError::Step(ActivityError::Failed(StepError::Lost));
    assert_eq!(run.outcome().await.unwrap(), Outcome::Failed(lost));
    assert_eq!(world.log()[7..], ["room", "undo room!", "undo fee"]);
    let attempts = world.attempts("room");
    assert!(attempts.iter().all(|attempt| attempt.key == attempts[0].key), "{attempts:?}");
}

async fn a_step_that_settles_as_not_done_is_not_undone(place: impl Place) {
    let world = World::default();
    world.plan("room", [Act::Lose, Act::Lose, Act::Lose, Act::Lose, Act::Lose, Act::Decline]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(pays_and_books()).await.unwrap();
    assert!(matches!(run.outcome().await.unwrap(), Outcome::Failed(SagaError::Step(_))));
    assert_eq!(world.log()[6..], ["note", "room", "undo fee"]);
}

async fn nothing_is_undone_when_the_workflow_copes_with_the_error(place: impl Place) {
    #[workflow]
    async fn copes() -> Result<(), SagaError> {
        pay("kept".to_owned()).await?;
        let failed = pay("lost".to_owned()).await;
        assert!(failed.is_err());
        Ok(())
    }
    let world = World::default();
    world.plan("lost", [Act::Lose; 5]);
    let engine = engine(&place, &world).await;
    engine.client().start(copes()).await.unwrap().result().await.unwrap();
    assert_eq!(world.log().len(), 6, "{:?}", world.log());
}

async fn a_failing_undo_is_repeated_until_it_works(place: impl Place) {
    let world = World::default();
    world.plan("undo b", [Act::Lose, Act::Refuse, Act::Panic, Act::Lose, Act::Lose, Act::Lose, Act::Lose, Act::Lose]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(pays_then_gives_up(names(&["a", "b"]))).await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Failed(SagaError::GivesUp));
    let attempts = world.attempts("undo b");
    assert_eq!(attempts.len(), 9);
    assert!(attempts.iter().all(|attempt| attempt.key == attempts[0].key), "{attempts:?}");
    assert_eq!(world.log().last().unwrap(), "undo a");
}

async fn an_undo_that_fails_for_good_makes_the_run_dead(place: impl Place) {
    let world = World::default();
    world.plan("undo b", [Act::Decline]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(pays_then_gives_up(names(&["a", "b", "c"]))).await.unwrap();
    let Outcome::Dead(reason) = run.outcome().await.unwrap() else { panic!("the run is not dead") };
    assert_eq!(
        reason,
        "the undo of step 1 by `undo_step` failed for good at attempt 1: declined; steps before it are not undone"
    );
    assert_eq!(world.log(), ["a", "b", "c", "undo c", "undo b"]);
}
