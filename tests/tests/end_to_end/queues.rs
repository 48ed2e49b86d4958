//! Activities on workers of a queue: made there, recorded and undone as if they were made here.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use saga_runtime::prelude::*;
use saga_runtime::{Engine, Limit, Repair, RunHandle};
use saga_store::{Query, Store};
use saga_tests::steps::{SagaError, pay, step, undo_output, undo_step};
use saga_tests::{Act, Place, StepError, World, on_each_store};

use crate::two::{Two, gpu, home, started};

/// A step on a worker of the queue, without undo.
#[activity(queue = "gpu", retry(initial = "1ms", max = "2ms"))]
pub(crate) async fn render(
    #[state] world: &World,
    #[context] cx: &ActivityContext,
    name: String,
) -> Result<String, StepError> {
    world.attempt(cx, &name).await
}

/// One whose undo is known before its first attempt.
#[activity(queue = "gpu", retry(initial = "1ms", max = "2ms"), compensate = undo_step(name))]
pub(crate) async fn lease(
    #[state] world: &World,
    #[context] cx: &ActivityContext,
    name: String,
) -> Result<String, StepError> {
    world.attempt(cx, &name).await
}

/// One whose undo needs its output.
#[activity(queue = "gpu", retry(initial = "1ms", max = "2ms"), compensate = undo_output(output))]
pub(crate) async fn reserve(
    #[state] world: &World,
    #[context] cx: &ActivityContext,
    name: String,
) -> Result<String, StepError> {
    world.attempt(cx, &name).await
}

/// A point of no return.
#[activity(queue = "gpu", pivot, retry(initial = "1ms", max = "2ms"))]
pub(crate) async fn burn(
    #[state] world: &World,
    #[context] cx: &ActivityContext,
    name: String,
) -> Result<String, StepError> {
    world.attempt(cx, &name).await
}

#[workflow]
async fn rendered_film(then: String) -> Result<String, SagaError> {
    pay("order".to_owned()).await?;
    lease("lease".to_owned()).await?;
    reserve("reserve".to_owned()).await?;
    let film = render("render".to_owned()).await?;
    step(then).await?;
    Ok(film)
}

#[workflow]
async fn sent_elsewhere(queue: String) -> Result<String, SagaError> {
    Ok(step("step".to_owned()).queue(queue).await?)
}

#[workflow]
async fn impatient_of_a_queue(name: String) -> Result<String, SagaError> {
    pay("order".to_owned()).await?;
    match render(name).deadline(Duration::from_millis(20)).await {
        Ok(film) => Ok(film),
        Err(error) if error.is_timeout() => Ok(step("without".to_owned()).await?),
        Err(error) => Err(error.into()),
    }
}

#[workflow]
async fn races_a_queue(name: String) -> Result<String, SagaError> {
    select! {
        film = reserve(name.clone()) => Ok(film?),
        done = step("quick".to_owned()) => Ok(done?),
    }
}

#[workflow]
async fn races_and_goes_on(known: bool) -> Result<String, SagaError> {
    pay("order".to_owned()).await?;
    let won = if known {
        select! {
            done = lease("slow".to_owned()) => done?,
            done = step("quick".to_owned()) => done?,
        }
    } else {
        select! {
            done = reserve("slow".to_owned()) => done?,
            done = step("quick".to_owned()) => done?,
        }
    };
    step("after".to_owned()).await?;
    Ok(won)
}

#[workflow]
async fn burns(name: String) -> Result<String, SagaError> {
    pay("order".to_owned()).await?;
    let burnt = burn(name).await?;
    step("after".to_owned()).await?;
    Ok(burnt)
}

on_each_store!(
    an_activity_of_a_queue_runs_on_its_worker_and_the_others_do_not,
    what_was_done_on_a_queue_is_undone_in_order_with_and_without_output,
    a_typed_error_comes_back_and_what_came_before_is_undone,
    the_worker_of_the_queue_retries_by_the_policy_of_the_activity,
    a_failure_with_an_unknown_outcome_is_undone_by_its_input,
    an_unknown_outcome_whose_undo_needs_the_output_is_settled_on_the_queue,
    a_cancel_stops_the_attempt_on_the_queue_and_undoes_it,
    a_cancel_settles_an_attempt_whose_undo_needs_its_output,
    a_step_waits_until_a_worker_serves_its_queue,
    a_deadline_passes_though_nobody_serves_the_queue,
    a_queue_can_be_chosen_at_the_call,
    a_bad_name_of_a_queue_is_an_error_of_the_step,
    another_worker_of_the_queue_takes_over_from_one_that_dies,
    the_run_that_waits_survives_its_own_worker,
    a_run_that_was_dead_hears_when_it_is_repaired_what_became_of_its_steps,
    the_loser_of_a_race_is_settled_and_undone,
    a_loser_on_a_queue_is_taken_back_while_its_run_goes_on,
    past_a_point_of_no_return_on_a_queue_nothing_is_undone,
    a_worker_takes_no_more_of_a_queue_than_it_may_attempt,
    steps_that_come_together_are_no_more_than_the_worker_may_attempt,
);

impl<S: Store + Clone> Two<S> {
    async fn film(&self) -> RunHandle<rendered_film> {
        self.home.client().start(rendered_film("then".to_owned())).id("A").await.unwrap()
    }
}

fn declined() -> Outcome<String, SagaError> {
    Outcome::Failed(SagaError::Step(ActivityError::Failed(StepError::Declined)))
}

async fn an_activity_of_a_queue_runs_on_its_worker_and_the_others_do_not(place: impl Place) {
    let two = Two::over(&place).await;
    let run = two.film().await;
    assert_eq!(run.result().await.unwrap(), "render!");
    assert_eq!(two.here.log(), ["order", "then"]);
    assert_eq!(two.there.log(), ["lease", "reserve", "render"]);
    let key = &two.there.attempts("render")[0].key;
    assert_eq!(*key, format!("{}/3", run.execution()), "the key is that of the step");
    two.end().await;
}

async fn what_was_done_on_a_queue_is_undone_in_order_with_and_without_output(place: impl Place) {
    let two = Two::planned(&place, |here, _| here.plan("then", [Act::Decline])).await;
    assert_eq!(two.film().await.outcome().await.unwrap(), declined());
    assert_eq!(two.here.log(), ["order", "then", "undo reserve!", "undo lease", "undo order"]);
    two.end().await;
}

async fn a_typed_error_comes_back_and_what_came_before_is_undone(place: impl Place) {
    let two = Two::planned(&place, |_, there| there.plan("reserve", [Act::Decline])).await;
    assert_eq!(two.film().await.outcome().await.unwrap(), declined());
    assert_eq!(two.here.log(), ["order", "undo lease", "undo order"]);
    two.end().await;
}

async fn the_worker_of_the_queue_retries_by_the_policy_of_the_activity(place: impl Place) {
    let two = Two::planned(&place, |_, there| {
        there.plan("render", [Act::Refuse, Act::Panic, Act::Lose]);
    });
    let two = two.await;
    assert_eq!(two.film().await.result().await.unwrap(), "render!");
    let attempts = two.there.attempts("render");
    assert_eq!(attempts.iter().map(|attempt| attempt.number).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(attempts.iter().all(|attempt| attempt.key == attempts[0].key));
    two.end().await;
}

async fn a_failure_with_an_unknown_outcome_is_undone_by_its_input(place: impl Place) {
    let two = Two::planned(&place, |_, there| there.plan("lease", [Act::Lose; 5])).await;
    let lost = Outcome::Failed(SagaError::Step(ActivityError::Failed(StepError::Lost)));
    assert_eq!(two.film().await.outcome().await.unwrap(), lost);
    assert_eq!(two.here.log(), ["order", "undo lease", "undo order"]);
    two.end().await;
}

async fn an_unknown_outcome_whose_undo_needs_the_output_is_settled_on_the_queue(place: impl Place) {
    let two = Two::planned(&place, |_, there| there.plan("reserve", [Act::Lose; 5])).await;
    let lost = Outcome::Failed(SagaError::Step(ActivityError::Failed(StepError::Lost)));
    assert_eq!(two.film().await.outcome().await.unwrap(), lost);
    let attempts = two.there.attempts("reserve");
    assert_eq!(attempts.len(), 6);
    assert!(attempts.iter().all(|attempt| attempt.key == attempts[0].key));
    assert_eq!(two.here.log(), ["order", "undo reserve!", "undo lease", "undo order"]);
    two.end().await;
}

async fn a_cancel_stops_the_attempt_on_the_queue_and_undoes_it(place: impl Place) {
    let two = Two::planned(&place, |_, there| there.plan("lease", [Act::Hang])).await;
    let run = two.film().await;
    two.there.began("lease").await;
    run.cancel().await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Cancelled);
    two.there.heard("dropped lease").await;
    assert_eq!(two.here.log(), ["order", "undo lease", "undo order"]);
    two.end().await;
}

async fn a_cancel_settles_an_attempt_whose_undo_needs_its_output(place: impl Place) {
    let two = Two::planned(&place, |_, there| there.plan("reserve", [Act::Wait])).await;
    let run = two.film().await;
    two.there.began("reserve").await;
    run.cancel().await.unwrap();
    two.there.open("reserve");
    assert_eq!(run.outcome().await.unwrap(), Outcome::Cancelled);
    let undone = two.here.log();
    // The attempt may have ended before the cancel came.
    assert_eq!(undone[undone.len() - 3..], ["undo reserve!", "undo lease", "undo order"]);
    two.end().await;
}

async fn a_step_waits_until_a_worker_serves_its_queue(place: impl Place) {
    let (here, there) = (World::default(), World::default());
    let store = place.open().await;
    let home = home(&store, &here).await;
    let run = home.client().start(rendered_film("then".to_owned())).await.unwrap();
    here.began("order").await;
    let other = started(Engine::builder(store.clone()).state(here.clone()).queues(["cpu"]).only_activities()).await;
    let gpu = gpu(&store, &there).await;
    assert_eq!(run.result().await.unwrap(), "render!");
    assert_eq!(here.log(), ["order", "then"]);
    for engine in [home, other, gpu] {
        engine.shutdown().await;
    }
}

async fn a_deadline_passes_though_nobody_serves_the_queue(place: impl Place) {
    let world = World::default();
    let home = home(&place.open().await, &world).await;
    let run = home.client().start(impatient_of_a_queue("render".to_owned())).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "without!");
    assert_eq!(world.log(), ["order", "without"]);
    home.shutdown().await;
}

async fn a_queue_can_be_chosen_at_the_call(place: impl Place) {
    let two = Two::over(&place).await;
    let run = two.home.client().start(sent_elsewhere("gpu".to_owned())).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "step!");
    assert_eq!(two.there.log(), ["step"]);
    assert!(two.here.log().is_empty());
    two.end().await;
}

async fn a_bad_name_of_a_queue_is_an_error_of_the_step(place: impl Place) {
    let world = World::default();
    let home = home(&place.open().await, &world).await;
    let run = home.client().start(sent_elsewhere("a/b".to_owned())).await.unwrap();
    let outcome = run.outcome().await.unwrap();
    let Outcome::Failed(SagaError::Step(ActivityError::Payload(why))) = outcome else { panic!("{outcome:?}") };
    assert!(why.contains("names no queue"), "{why}");
    assert!(world.log().is_empty());
    home.shutdown().await;
}

async fn another_worker_of_the_queue_takes_over_from_one_that_dies(place: impl Place) {
    let two = Two::planned(&place, |_, there| there.plan("render", [Act::Hang; 2])).await;
    let run = two.film().await;
    two.there.began("render").await;
    let Two { store, here, there, home, gpu: first } = two;
    drop(first);
    let second = gpu(&store, &there).await;
    there.began("render").await;
    let third = gpu(&store, &there).await;
    second.shutdown().await;
    assert_eq!(run.result().await.unwrap(), "render!");
    let attempts = there.attempts("render");
    assert_eq!(attempts.len(), 3);
    assert!(attempts.iter().all(|attempt| attempt.key == attempts[0].key));
    assert_eq!(here.log(), ["order", "then"]);
    home.shutdown().await;
    third.shutdown().await;
}

async fn the_run_that_waits_survives_its_own_worker(place: impl Place) {
    let two = Two::planned(&place, |_, there| there.plan("reserve", [Act::Wait])).await;
    two.film().await;
    two.there.began("reserve").await;
    let Two { store, here, there, home: first, gpu } = two;
    first.shutdown().await;
    there.open("reserve");
    let second = home(&store, &here).await;
    let run = second.client().attach::<rendered_film>("A").await.unwrap();
    assert_eq!(run.result().await.unwrap(), "render!");
    assert_eq!(here.log(), ["order", "then"]);
    assert_eq!(there.log(), ["lease", "reserve", "render"]);
    second.shutdown().await;
    gpu.shutdown().await;
}

/// Whether the code of [`dies_beside_a_step`] is still wrong.
static WRONG: AtomicU32 = AtomicU32::new(0);

#[workflow]
async fn dies_beside_a_step(mended: u32) -> Result<String, SagaError> {
    let (film, ()) = join!(render("render".to_owned()), async {
        let _ = step("beside".to_owned()).await;
        assert!(WRONG.load(Ordering::Acquire) & mended != 0, "the code is wrong");
    })
    .await;
    Ok(film?)
}

async fn a_run_that_was_dead_hears_when_it_is_repaired_what_became_of_its_steps(place: impl Place) {
    let two = Two::planned(&place, |_, there| there.plan("render", [Act::Wait])).await;
    let mended = 1 << (two.store.kind().bytes().map(u32::from).sum::<u32>() % 31);
    let client = two.home.client();
    let run = client.start(dies_beside_a_step(mended)).id("A").await.unwrap();
    assert!(matches!(run.outcome().await.unwrap(), Outcome::Dead(_)));
    two.there.began("render").await;
    two.there.open("render");
    let all = Query { limit: 10, ..Query::default() };
    while !client.list(&all).await.unwrap().runs.iter().all(|run| run.state.is_final()) {
        tokio::task::yield_now().await;
    }
    WRONG.fetch_or(mended, Ordering::AcqRel);
    client.repair("A", Repair::Resume).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "render!");
    assert_eq!(two.there.attempts("render").len(), 1);
    two.end().await;
}

async fn the_loser_of_a_race_is_settled_and_undone(place: impl Place) {
    let two = Two::planned(&place, |here, there| {
        here.plan("quick", [Act::Wait]);
        there.plan("slow", [Act::Wait]);
    });
    let two = two.await;
    let run = two.home.client().start(races_a_queue("slow".to_owned())).await.unwrap();
    two.there.began("slow").await;
    two.here.open("quick");
    two.there.open("slow");
    let won = run.result().await.unwrap();
    if won == "quick!" {
        assert_eq!(two.here.log(), ["quick", "undo slow!"]);
    }
    two.end().await;
}

async fn a_loser_on_a_queue_is_taken_back_while_its_run_goes_on(place: impl Place) {
    for known in [true, false] {
        let other = place.another();
        let two = Two::planned(&other, |here, there| {
            here.plan("quick", [Act::Wait]);
            there.plan("slow", [Act::Wait]);
        });
        let two = two.await;
        let run = two.home.client().start(races_and_goes_on(known)).await.unwrap();
        two.there.began("slow").await;
        two.here.open("quick");
        // The branch is dropped in the record that schedules this.
        two.here.began("after").await;
        two.there.open("slow");
        assert_eq!(run.result().await.unwrap(), "quick!");
        let mut log = two.here.log();
        log.sort();
        let undo = if known { "undo slow" } else { "undo slow!" };
        assert_eq!(log, ["after", "order", "quick", undo], "the undo is known before: {known}");
        two.end().await;
    }
}

async fn past_a_point_of_no_return_on_a_queue_nothing_is_undone(place: impl Place) {
    let two = Two::planned(&place, |here, there| {
        there.plan("burn", [Act::Lose; 6]);
        here.plan("after", [Act::Decline]);
    });
    let two = two.await;
    let run = two.home.client().start(burns("burn".to_owned())).await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), declined());
    assert_eq!(two.here.log(), ["order", "after"], "nothing before it is undone");
    assert_eq!(two.there.attempts("burn").len(), 7, "it is settled, whatever its attempts");
    two.end().await;
}

async fn a_worker_takes_no_more_of_a_queue_than_it_may_attempt(place: impl Place) {
    let (limited, other, here) = (World::default(), World::default(), World::default());
    limited.plan("step", [Act::Wait; 2]);
    let store = place.open().await;
    let builder = Engine::builder(store.clone()).state(limited.clone()).queues(["gpu"]).only_activities();
    let first = started(builder.limit_queue("gpu", Limit::new().at_once(2))).await;
    let home = home(&store, &here).await;
    let mut runs = Vec::new();
    for _ in 0..6 {
        runs.push(home.client().start(sent_elsewhere("gpu".to_owned())).await.unwrap());
    }
    limited.began("step").await;
    limited.began("step").await;
    // It may make two attempts, and both are under way: the others are there for the next worker.
    let second = gpu(&store, &other).await;
    for _ in 0..4 {
        other.began("step").await;
    }
    assert_eq!((limited.log().len(), other.log().len()), (2, 4));
    limited.open("step");
    limited.open("step");
    for run in runs {
        assert_eq!(run.result().await.unwrap(), "step!");
    }
    // And what comes when it has room again it takes.
    second.shutdown().await;
    let run = home.client().start(sent_elsewhere("gpu".to_owned())).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "step!");
    assert_eq!(limited.log().len(), 3);
    for engine in [first, home] {
        engine.shutdown().await;
    }
}

#[workflow]
async fn renders_two() -> Result<String, SagaError> {
    let films = join_all(["film"; 2].map(|name| render(name.to_owned()))).await;
    Ok(films.into_iter().collect::<Result<Vec<_>, _>>()?.concat())
}

async fn steps_that_come_together_are_no_more_than_the_worker_may_attempt(place: impl Place) {
    let (here, there) = (World::default(), World::default());
    here.plan("film", [Act::Wait]);
    let store = place.open().await;
    let limited = |world: &World| {
        let builder = Engine::builder(store.clone()).state(world.clone()).queues(["gpu"]);
        builder.limit_queue("gpu", Limit::new().at_once(1))
    };
    let other = started(limited(&there).only_activities()).await;
    let home = started(limited(&here)).await;
    let run = home.client().start(renders_two()).id("A").await.unwrap();
    // Whoever may attempt one has one, and leaves the other to the other.
    there.began("film").await;
    here.open("film");
    assert_eq!(run.result().await.unwrap(), "film!film!");
    for engine in [home, other] {
        engine.shutdown().await;
    }
}
