//! No run waits for ever: not for a worker that does not know that it has it, not for a message
//! that nobody has heard of, not for a build that has left.

use std::cell::Cell;
use std::time::Duration;

use saga_runtime::prelude::*;
use saga_runtime::{Client, EngineBuilder, RunHandle};
use saga_store::wire::{Claimed, Entry, Record, split_rows};
use saga_store::{
    BuildId, CommitOutcome, Incarnation, NodeInfo, Nonce, RunCommit, RunState, Seq, Store, Then, Timestamp,
};
use saga_tests::steps::{SagaError, step};
use saga_tests::{Act, Lossy, Place, StepError, World, on_each_store};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize, Event)]
struct Go;

#[workflow]
async fn one_step_and_no_more() -> Result<String, SagaError> {
    Ok(step("one".to_owned()).await?)
}

#[activity(timeout = "1h")]
async fn long(#[state] world: &World, #[context] cx: &ActivityContext, name: String) -> Result<String, StepError> {
    world.attempt(cx, &name).await
}

#[workflow]
async fn one_long_step() -> Result<String, SagaError> {
    Ok(long("one".to_owned()).await?)
}

#[workflow]
async fn one_step_and_a_cue() -> Result<String, SagaError> {
    let cue = event::<Go>().timeout(Duration::from_secs(30));
    let done = step("one".to_owned()).await?;
    cue.await.map_err(|_| SagaError::GivesUp)?;
    Ok(done)
}

thread_local! {
    /// What the code on this thread was built from.
    static BUILD: Cell<&'static str> = const { Cell::new("old") };
}

fn built_from() -> String {
    BUILD.get().to_owned()
}

#[workflow]
async fn changed_since() -> Result<String, SagaError> {
    let built = built_from();
    if built == "old" { Ok(step("one".to_owned()).await?) } else { Ok(pay_instead().await?) }
}

#[activity]
async fn pay_instead() -> Result<String, StepError> {
    Ok("paid".to_owned())
}

on_each_store!(
    runs_whose_claim_got_no_answer_are_taken_up_all_the_same,
    a_run_that_a_message_wakes_goes_on_where_it_is_sent_without_a_claim,
    a_run_that_a_message_woke_which_got_no_answer_is_taken_up_all_the_same,
    a_driver_whose_run_is_anothers_is_told_so,
    a_message_whose_hint_is_lost_is_read_all_the_same,
    the_end_of_a_run_whose_hint_is_lost_is_heard_all_the_same,
    a_run_that_one_build_cannot_replay_goes_to_another,
    a_run_that_no_living_build_can_replay_is_dead_and_says_why,
);

/// Fast enough for a test.
const POLL: Duration = Duration::from_millis(20);

fn set_up<S: Store>(store: S, world: &World) -> EngineBuilder {
    Engine::builder(store).state(world.clone()).slow_poll(POLL)
}

async fn runs_whose_claim_got_no_answer_are_taken_up_all_the_same(place: impl Place) {
    let world = World::default();
    let store = Lossy::new(place.open().await);
    let client = Client::new(store.clone());
    let mut runs = Vec::new();
    for number in 0..3 {
        runs.push(client.start(one_step_and_no_more()).id(format!("R-{number}")).await.unwrap());
    }
    store.lose_a_claim();
    let engine = set_up(store.clone(), &world).start().await.unwrap();
    store.lost().await;
    for run in &runs {
        assert_eq!(run.result().await.unwrap(), "one!");
    }
    assert_eq!(world.log(), ["one", "one", "one"], "each is taken up once");
    engine.shutdown().await;
}

#[workflow]
async fn a_cue_and_one_step() -> Result<String, SagaError> {
    event::<Go>().await;
    Ok(step("one".to_owned()).await?)
}

/// A run that waits for its cue, and that its worker has let go.
async fn waiting(engine: &Engine) -> RunHandle<a_cue_and_one_step> {
    let run = engine.client().start(a_cue_and_one_step()).await.unwrap();
    while run.view().await.unwrap().state != RunState::Waiting {
        tokio::task::yield_now().await;
    }
    run
}

async fn a_run_that_a_message_wakes_goes_on_where_it_is_sent_without_a_claim(place: impl Place) {
    let world = World::default();
    let store = Lossy::new(place.open().await);
    // Nothing is heard of, and nothing is looked for.
    let engine = set_up(store, &world).slow_poll(Duration::from_secs(3600)).start().await.unwrap();
    for _ in 0..3 {
        let run = waiting(&engine).await;
        run.send(Go).await.unwrap();
        assert_eq!(run.result().await.unwrap(), "one!");
    }
    engine.shutdown().await;
}

async fn a_run_that_a_message_woke_which_got_no_answer_is_taken_up_all_the_same(place: impl Place) {
    let world = World::default();
    let store = Lossy::new(place.open().await);
    let engine = set_up(store.clone(), &world).start().await.unwrap();
    let run = waiting(&engine).await;
    store.lose_a_claim();
    assert!(run.send(Go).await.unwrap_err().is_retryable());
    store.lost().await;
    assert_eq!(run.result().await.unwrap(), "one!");
    assert_eq!(world.log(), ["one"]);
    engine.shutdown().await;
}

/// Another member, without an engine.
async fn member<S: Store>(store: &S, build: &str) -> Incarnation {
    let incarnation = Incarnation::generate(Timestamp::from_system_clock(), &[9; 10]);
    let (build, lease) = (BuildId(build.into()), Duration::from_secs(3600));
    store.join(&NodeInfo { name: "another".to_owned(), incarnation, build, lease }).await.unwrap();
    incarnation
}

async fn a_driver_whose_run_is_anothers_is_told_so(place: impl Place) {
    let world = World::default();
    world.plan("one", [Act::Hang]);
    let store = Lossy::new(place.open().await);
    let engine = set_up(store.clone(), &world).start().await.unwrap();
    let run = engine.client().start(one_long_step()).id("A").await.unwrap();
    world.began("one").await;
    // Another appends, as an operator does, or a worker that took the run over.
    let other = member(&store, "other").await;
    let execution = run.view().await.unwrap().execution;
    let seq = Seq(store.load(&[execution]).await.unwrap()[0].journal.len() as u64);
    let claimed = vec![Entry::Claimed(Claimed::by(other.to_string()))];
    let commit = RunCommit {
        execution,
        owner: other,
        seq,
        nonce: Nonce(7),
        rows: split_rows(Record::new(Timestamp::from_system_clock(), claimed).to_bytes()),
        blobs: Vec::new(),
        inbox_seen: None,
        outbox: Vec::new(),
        sent: Vec::new(),
        change: None,
        status: None,
        then: Then::Keep,
        tx: None,
    };
    let outcomes = store.commit(vec![commit]).await.unwrap();
    assert!(matches!(outcomes.as_slice(), [CommitOutcome::Applied(_)]), "{outcomes:?}");
    // Nobody tells the driver, and its attempt will never end by itself.
    world.heard("dropped one").await;
    store.leave(other).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "one!");
    engine.shutdown().await;
}

async fn a_message_whose_hint_is_lost_is_read_all_the_same(place: impl Place) {
    let world = World::default();
    let store = Lossy::new(place.open().await);
    let engine = set_up(store.clone(), &world).start().await.unwrap();
    let run = engine.client().start(one_step_and_a_cue()).id("A").await.unwrap();
    world.began("one").await;
    // Short waits stay in memory, with a driver that hears of nothing.
    let elsewhere = Client::new(store);
    elsewhere.attach::<one_step_and_a_cue>("A").await.unwrap().send(Go).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "one!");
    engine.shutdown().await;
}

async fn the_end_of_a_run_whose_hint_is_lost_is_heard_all_the_same(place: impl Place) {
    let world = World::default();
    world.plan("one", [Act::Wait]);
    let store = Lossy::new(place.open().await);
    let engine = set_up(store.clone(), &world).start().await.unwrap();
    let client = Client::new(store);
    let run = client.start(one_step_and_no_more()).id("A").await.unwrap();
    world.began("one").await;
    let wait = || async { run.result().await.unwrap() };
    let (ends, ()) = tokio::join!(futures_util::future::join_all((0..20).map(|_| wait())), async {
        world.open("one");
    });
    assert_eq!(ends, vec!["one!"; 20]);
    engine.shutdown().await;
}

/// A runtime whose threads have this build's code.
fn process(build: &'static str) -> tokio::runtime::Runtime {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(1).enable_all().on_thread_start(move || BUILD.set(build)).build().unwrap()
}

/// Lets a run begin under the old build, and that worker go.
async fn begin_under_the_old<S: Store + Clone>(store: &S, world: &World) {
    let old = set_up(store.clone(), world).build_id("old").grace(Duration::ZERO).start().await.unwrap();
    world.plan("one", [Act::Hang]);
    old.client().start(changed_since()).id("A").await.unwrap();
    world.began("one").await;
    old.shutdown().await;
}

/// An engine of the new build, on threads of its own.
async fn start_the_new<S: Store + Clone>(on: &tokio::runtime::Runtime, store: &S, world: &World) -> Engine {
    let builder = set_up(store.clone(), world).build_id("new");
    on.spawn(async move { builder.start().await.unwrap() }).await.unwrap()
}

/// Waits until the new build has let go of the run.
async fn let_go(client: &Client) {
    let refusal = |entry: &Entry| matches!(entry, Entry::Claimed(claimed) if claimed.not_build.is_some());
    while !crate::journal::entries(client, "A").await.iter().any(refusal) {
        tokio::task::yield_now().await;
    }
}

async fn a_run_that_one_build_cannot_replay_goes_to_another(place: impl Place) {
    let world = World::default();
    let store = place.open().await;
    begin_under_the_old(&store, &world).await;
    let client = Client::new(store.clone());
    // A worker of the old build is there, and is busy.
    member(&store, "old").await;
    let threads = process("new");
    let new = start_the_new(&threads, &store, &world).await;
    let_go(&client).await;
    let old = set_up(store.clone(), &world).build_id("old").start().await.unwrap();
    assert_eq!(client.attach::<changed_since>("A").await.unwrap().result().await.unwrap(), "one!");
    old.shutdown().await;
    new.shutdown().await;
    threads.shutdown_background();
}

async fn a_run_that_no_living_build_can_replay_is_dead_and_says_why(place: impl Place) {
    let world = World::default();
    let store = place.open().await;
    begin_under_the_old(&store, &world).await;
    let client = Client::new(store.clone());
    let busy = member(&store, "old").await;
    let threads = process("new");
    let new = start_the_new(&threads, &store, &world).await;
    let_go(&client).await;
    assert_eq!(client.get("A").await.unwrap().state, RunState::Running, "the old build may come for it");
    store.leave(busy).await.unwrap();
    let error = client.attach::<changed_since>("A").await.unwrap().result().await.unwrap_err().to_string();
    assert!(error.contains("recorded activity `step`") && error.contains("pay_instead"), "{error}");
    assert_eq!(client.get("A").await.unwrap().state, RunState::Dead);
    new.shutdown().await;
    threads.shutdown_background();
}
