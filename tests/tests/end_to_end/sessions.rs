//! Steps of one worker: a session has them all, shares what it keeps, and is lost with its worker.

use std::time::Duration;

use saga_runtime::prelude::*;
use saga_runtime::{Client, Engine, RunHandle, WorkerSession};
use saga_store::wire::Entry;
use saga_store::{Query, RunState, Store};
use saga_tests::steps::{SagaError, pay, step};
use saga_tests::{Act, Place, StepError, World, on_each_store};

use crate::journal::entries;
use crate::queues::{burn, lease, reserve};
use crate::two::{Two, gpu, home};

/// What a worker keeps from one step to the next.
struct Model(String);

/// Keeps a model.
#[activity(queue = "gpu", retry(initial = "1ms", max = "2ms"))]
pub(crate) async fn load(
    #[state] world: &World,
    #[context] cx: &ActivityContext,
    name: String,
) -> Result<String, StepError> {
    let loaded = world.attempt(cx, &name).await?;
    let session = cx.session().ok_or(StepError::Declined)?;
    session.insert(Model(name));
    Ok(loaded)
}

/// Needs the model.
#[activity(queue = "gpu", retry(initial = "1ms", max = "2ms"))]
pub(crate) async fn infer(
    #[state] world: &World,
    #[context] cx: &ActivityContext,
    name: String,
) -> Result<String, StepError> {
    let model = cx.session().and_then(WorkerSession::get::<Model>).ok_or(StepError::Declined)?;
    Ok(format!("{} by {}", world.attempt(cx, &name).await?, model.0))
}

/// Begins anew what it has lost.
#[workflow]
pub(crate) async fn asks(model: String) -> Result<String, SagaError> {
    pay("order".to_owned()).await?;
    loop {
        let tried = attempt(async {
            let gpu = session("gpu");
            load(model.clone()).session(&gpu).await?;
            let first = infer("first".to_owned()).session(&gpu).await?;
            let (second, third) =
                try_join!(infer("second".to_owned()).session(&gpu), infer("third".to_owned()).session(&gpu)).await?;
            Ok::<_, ActivityError<StepError>>(format!("{first}, {second}, {third}"))
        });
        match tried.await {
            Err(error) if error.is_session_lost() => {}
            answer => return Ok(answer?),
        }
    }
}

/// Is content with what becomes of its session.
#[workflow]
async fn holds(then: String) -> Result<String, SagaError> {
    pay("order".to_owned()).await?;
    let gpu = session("gpu");
    lease("lease".to_owned()).session(&gpu).await?;
    let held = reserve("reserve".to_owned()).session(&gpu).await?;
    step(then).await?;
    Ok(held)
}

#[workflow]
async fn burns_in_a_session(name: String) -> Result<String, SagaError> {
    pay("order".to_owned()).await?;
    let gpu = session("gpu");
    Ok(burn(name).session(&gpu).await?)
}

/// Calls after the end of its session.
#[workflow]
async fn comes_too_late(queue: String) -> Result<String, SagaError> {
    let gpu = session(queue);
    load("model".to_owned()).session(&gpu).await?;
    let late = infer("late".to_owned()).session(&gpu);
    drop(gpu);
    Ok(late.await?)
}

/// Goes on in a new execution, with a session in each.
#[workflow]
async fn asks_again(rounds: u32) -> Result<u32, SagaError> {
    let gpu = session("gpu");
    load("model".to_owned()).session(&gpu).await?;
    infer("first".to_owned()).session(&gpu).await?;
    if rounds > 1 {
        return continue_as_new(asks_again(rounds - 1)).await;
    }
    Ok(rounds)
}

on_each_store!(
    the_steps_of_a_session_are_made_by_one_worker_and_share_what_it_keeps,
    a_session_whose_worker_dies_is_lost_and_begun_anew_by_another,
    a_session_whose_worker_is_stopped_is_lost_and_begun_anew_by_another,
    a_session_outlives_the_worker_of_its_run,
    a_worker_has_no_more_sessions_than_it_may_and_takes_the_next_when_one_has_ended,
    a_cancel_ends_the_session_and_undoes_its_steps,
    what_may_have_been_done_in_a_lost_session_is_undone,
    a_point_of_no_return_in_a_lost_session_is_settled_elsewhere,
    a_call_after_the_end_of_its_session_is_an_error,
    a_call_for_another_queue_than_the_sessions_is_an_error,
    another_execution_finds_the_session_that_it_has_copied_lost,
    a_step_of_a_session_that_comes_again_later_stays_with_its_worker,
    each_execution_of_a_run_has_a_session_of_its_own,
    a_worker_that_stops_says_itself_that_its_sessions_are_lost,
    the_end_of_a_session_leaves_nothing_live,
);

/// A worker of the queue that has one session at a time, and one of its workflows.
pub(crate) async fn one_session<S: Store + Clone>(
    place: &impl Place<Store = S>,
    plan: impl FnOnce(&World, &World),
) -> Two<S> {
    Two::with(place, |gpu| gpu.limit_sessions("gpu", 1), plan).await
}

pub(crate) const ANSWER: &str = "first! by model, second! by model, third! by model";

async fn the_steps_of_a_session_are_made_by_one_worker_and_share_what_it_keeps(place: impl Place) {
    let (here, one, two) = (World::default(), World::default(), World::default());
    let store = place.open().await;
    let home = home(&store, &here).await;
    let workers = [gpu(&store, &one).await, gpu(&store, &two).await];
    let mut runs = Vec::new();
    for _ in 0..6 {
        runs.push(home.client().start(asks("model".to_owned())).await.unwrap());
    }
    for run in runs {
        assert_eq!(run.result().await.unwrap(), ANSWER);
        let of = run.execution().to_string();
        let made = |world: &World| {
            let attempts = ["model", "first", "second", "third"].map(|name| world.attempts(name));
            attempts.iter().flatten().filter(|attempt| attempt.key.starts_with(&of)).count()
        };
        let mut counts = [made(&one), made(&two)];
        counts.sort_unstable();
        assert_eq!(counts, [0, 4], "one worker has made them all");
    }
    assert!(here.log().iter().all(|name| name == "order"));
    for engine in workers.into_iter().chain([home]) {
        engine.shutdown().await;
    }
}

/// A run in a session of a worker that hangs in its second step.
async fn hanging<S: Store + Clone>(store: &S, home: &Engine) -> (Engine, World, RunHandle<asks>) {
    let there = World::default();
    there.plan("first", [Act::Hang]);
    let worker = gpu(store, &there).await;
    let run = home.client().start(asks("model".to_owned())).id("A").await.unwrap();
    there.began("first").await;
    (worker, there, run)
}

async fn a_session_whose_worker_dies_is_lost_and_begun_anew_by_another(place: impl Place) {
    let (here, other) = (World::default(), World::default());
    let store = place.open().await;
    let home = home(&store, &here).await;
    let (first, there, run) = hanging(&store, &home).await;
    drop(first);
    let second = gpu(&store, &other).await;
    assert_eq!(run.result().await.unwrap(), ANSWER);
    assert_eq!(there.log(), ["model", "first"]);
    assert_eq!(other.attempts("model").len(), 1, "what was kept is made anew");
    assert_eq!(here.log(), ["order"]);
    second.shutdown().await;
    home.shutdown().await;
}

async fn a_session_whose_worker_is_stopped_is_lost_and_begun_anew_by_another(place: impl Place) {
    let (here, other) = (World::default(), World::default());
    let store = place.open().await;
    let home = home(&store, &here).await;
    let (first, there, run) = hanging(&store, &home).await;
    let second = gpu(&store, &other).await;
    first.shutdown().await;
    assert_eq!(run.result().await.unwrap(), ANSWER);
    assert_eq!(there.log(), ["model", "first"]);
    assert_eq!(other.attempts("model").len(), 1);
    second.shutdown().await;
    home.shutdown().await;
}

async fn a_session_outlives_the_worker_of_its_run(place: impl Place) {
    let (here, there) = (World::default(), World::default());
    there.plan("first", [Act::Wait]);
    let store = place.open().await;
    let worker = gpu(&store, &there).await;
    let first = home(&store, &here).await;
    first.client().start(asks("model".to_owned())).id("A").await.unwrap();
    there.began("first").await;
    drop(first);
    let second = home(&store, &here).await;
    there.open("first");
    let run = second.client().attach::<asks>("A").await.unwrap();
    assert_eq!(run.result().await.unwrap(), ANSWER);
    assert_eq!(there.attempts("model").len(), 1, "the session was there all the time");
    assert_eq!(there.attempts("first").len(), 1);
    worker.shutdown().await;
    second.shutdown().await;
}

async fn a_worker_has_no_more_sessions_than_it_may_and_takes_the_next_when_one_has_ended(place: impl Place) {
    let Two { here, there, home, gpu: worker, .. } =
        one_session(&place, |_, there| there.plan("first", [Act::Wait; 2])).await;
    let one = home.client().start(asks("model".to_owned())).await.unwrap();
    there.began("first").await;
    let two = home.client().start(asks("model".to_owned())).await.unwrap();
    here.began("order").await;
    here.began("order").await;
    // The second one's session waits. Steps of the first go on.
    there.open("first");
    assert_eq!(one.result().await.unwrap(), ANSWER);
    there.began("first").await;
    assert_eq!(there.attempts("model").len(), 2);
    let third = there.log().iter().position(|name| name == "third").unwrap();
    let model = there.log().iter().rposition(|name| name == "model").unwrap();
    assert!(third < model, "the second session began before the first one had ended: {:?}", there.log());
    there.open("first");
    assert_eq!(two.result().await.unwrap(), ANSWER);
    worker.shutdown().await;
    home.shutdown().await;
}

async fn a_cancel_ends_the_session_and_undoes_its_steps(place: impl Place) {
    let Two { here, there, home, gpu: worker, .. } =
        one_session(&place, |_, there| there.plan("reserve", [Act::Wait])).await;
    let run = home.client().start(holds("then".to_owned())).await.unwrap();
    there.began("reserve").await;
    run.cancel().await.unwrap();
    there.open("reserve");
    assert_eq!(run.outcome().await.unwrap(), Outcome::Cancelled);
    let undone = here.log();
    assert_eq!(undone[undone.len() - 3..], ["undo reserve!", "undo lease", "undo order"]);
    // Its session has made room.
    let next = home.client().start(asks("model".to_owned())).await.unwrap();
    assert_eq!(next.result().await.unwrap(), ANSWER);
    worker.shutdown().await;
    home.shutdown().await;
}

async fn what_may_have_been_done_in_a_lost_session_is_undone(place: impl Place) {
    for hangs in ["lease", "reserve"] {
        let place = place.another();
        let (here, there, other) = (World::default(), World::default(), World::default());
        there.plan(hangs, [Act::Hang]);
        let store = place.open().await;
        let home = home(&store, &here).await;
        let first = gpu(&store, &there).await;
        let run = home.client().start(holds("then".to_owned())).await.unwrap();
        there.began(hangs).await;
        drop(first);
        let second = gpu(&store, &other).await;
        let outcome = run.outcome().await.unwrap();
        assert!(
            matches!(&outcome, Outcome::Failed(SagaError::Step(error)) if error.is_session_lost()),
            "{hangs}: {outcome:?}"
        );
        let expected: &[&str] = if hangs == "lease" {
            &["order", "undo lease", "undo order"]
        } else {
            &["order", "undo reserve!", "undo lease", "undo order"]
        };
        assert_eq!(here.log(), expected);
        // What its undo needs was found out by another worker, under the same key.
        let settled = other.attempts("reserve");
        assert_eq!(settled.len(), usize::from(hangs == "reserve"));
        assert!(settled.iter().all(|attempt| attempt.key == there.attempts("reserve")[0].key));
        second.shutdown().await;
        home.shutdown().await;
    }
}

async fn a_point_of_no_return_in_a_lost_session_is_settled_elsewhere(place: impl Place) {
    let (here, there, other) = (World::default(), World::default(), World::default());
    there.plan("burn", [Act::Hang]);
    let store = place.open().await;
    let home = home(&store, &here).await;
    let first = gpu(&store, &there).await;
    let run = home.client().start(burns_in_a_session("burn".to_owned())).await.unwrap();
    there.began("burn").await;
    drop(first);
    let second = gpu(&store, &other).await;
    assert_eq!(run.result().await.unwrap(), "burn!");
    assert_eq!((here.log(), other.log()), (vec!["order".to_owned()], vec!["burn".to_owned()]));
    second.shutdown().await;
    home.shutdown().await;
}

async fn a_call_after_the_end_of_its_session_is_an_error(place: impl Place) {
    let Two { there, home, gpu: worker, .. } = Two::over(&place).await;
    let run = home.client().start(comes_too_late("gpu".to_owned())).await.unwrap();
    let outcome = run.outcome().await.unwrap();
    assert!(matches!(&outcome, Outcome::Failed(SagaError::Step(error)) if error.is_session_lost()), "{outcome:?}");
    assert_eq!(there.log(), ["model"]);
    worker.shutdown().await;
    home.shutdown().await;
}

async fn a_call_for_another_queue_than_the_sessions_is_an_error(place: impl Place) {
    let world = World::default();
    let home = home(&place.open().await, &world).await;
    for (queue, expected) in [("cpu", "is for queue `gpu`"), ("a/b", "names no queue")] {
        let run = home.client().start(comes_too_late(queue.to_owned())).await.unwrap();
        let outcome = run.outcome().await.unwrap();
        let Outcome::Failed(SagaError::Step(ActivityError::Payload(why))) = outcome else { panic!("{outcome:?}") };
        assert!(why.contains(expected), "{why}");
    }
    assert!(world.log().is_empty());
    home.shutdown().await;
}

async fn another_execution_finds_the_session_that_it_has_copied_lost(place: impl Place) {
    let Two { there, home, gpu: worker, .. } = Two::planned(&place, |here, _| here.plan("then", [Act::Decline])).await;
    let client = home.client();
    let run = client.start(asks("model".to_owned())).id("A").await.unwrap();
    assert_eq!(run.result().await.unwrap(), ANSWER);
    // From its second step in the session: the copy has the session and the model, and neither is there.
    let step = entries(client, "A").await.into_iter().find_map(|entry| match entry {
        Entry::StepScheduled(step) if step.activity == "infer" => Some(step.op.to_string()),
        _ => None,
    });
    let forked = client.fork("A", step.unwrap()).id("B").await.unwrap();
    let run = client.attach::<asks>("B").await.unwrap();
    assert_eq!(run.execution(), forked);
    assert_eq!(run.result().await.unwrap(), ANSWER);
    assert_eq!(there.attempts("model").len(), 2, "the copy has loaded it for itself");
    worker.shutdown().await;
    home.shutdown().await;
}

async fn a_step_of_a_session_that_comes_again_later_stays_with_its_worker(place: impl Place) {
    let Two { there, home, gpu: worker, .. } =
        Two::planned(&place, |_, there| there.plan("model", [Act::Postpone(Duration::from_secs(3600))])).await;
    let client = home.client();
    let run = client.start(asks("model".to_owned())).await.unwrap();
    there.began("model").await;
    let query = Query { workflow: Some("@activity/gpu/load".to_owned()), limit: 1, ..Query::default() };
    let postponed = loop {
        let page = client.list(&query).await.unwrap();
        let [made] = &page.runs[..] else { panic!("{page:?}") };
        let entries = entries(client, made.id.as_str()).await;
        if entries.iter().any(|entry| matches!(entry, Entry::Attempted(_))) {
            break client.get(made.id.as_str()).await.unwrap();
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(postponed.state, RunState::Running, "it waits in memory, where nobody else can claim it");
    run.cancel().await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Cancelled);
    worker.shutdown().await;
    home.shutdown().await;
}

async fn each_execution_of_a_run_has_a_session_of_its_own(place: impl Place) {
    let Two { there, home, gpu: worker, .. } = one_session(&place, |_, _| {}).await;
    let run = home.client().start(asks_again(4)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 1);
    assert_eq!(there.attempts("model").len(), 4);
    over(home.client()).await;
    worker.shutdown().await;
    home.shutdown().await;
}

async fn a_worker_that_stops_says_itself_that_its_sessions_are_lost(place: impl Place) {
    let Two { here, there, home, gpu: worker, .. } =
        Two::planned(&place, |_, there| there.plan("lease", [Act::WaitForCancel])).await;
    let run = home.client().start(holds("then".to_owned())).await.unwrap();
    there.began("lease").await;
    // Nobody else serves the queue.
    worker.shutdown().await;
    let outcome = run.outcome().await.unwrap();
    assert!(matches!(&outcome, Outcome::Failed(SagaError::Step(error)) if error.is_session_lost()), "{outcome:?}");
    assert_eq!(here.log(), ["order", "undo lease", "undo order"]);
    over(home.client()).await;
    home.shutdown().await;
}

/// Waits until no run goes on; gives their number.
pub(crate) async fn over(client: &Client) -> usize {
    loop {
        let page = client.list(&Query { limit: 100, ..Query::default() }).await.unwrap();
        if page.runs.iter().all(|run| run.state.is_final()) {
            return page.runs.len();
        }
        tokio::task::yield_now().await;
    }
}

async fn the_end_of_a_session_leaves_nothing_live(place: impl Place) {
    let Two { home, gpu: worker, .. } = Two::planned(&place, |here, _| here.plan("then", [Act::Decline])).await;
    let client = home.client();
    let good = client.start(asks("model".to_owned())).await.unwrap();
    let bad = client.start(holds("then".to_owned())).await.unwrap();
    assert_eq!(good.result().await.unwrap(), ANSWER);
    assert!(matches!(bad.outcome().await.unwrap(), Outcome::Failed(_)));
    // Two runs, a session of each, and a run for each step on the queue.
    assert_eq!(over(client).await, 2 + 2 + 6);
    worker.shutdown().await;
    home.shutdown().await;
}
