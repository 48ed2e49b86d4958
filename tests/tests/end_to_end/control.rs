//! What operators do to live runs: terminate, suspend, resume.

use std::time::Duration;

use saga_runtime::prelude::*;
use saga_runtime::store::RunState;
use saga_runtime::store::wire::{Conclusion, Entry};
use saga_runtime::{Client, ClientError, RunHandle, Workflow};
use saga_tests::steps::{SagaError, book, pay, step};
use saga_tests::{Act, Place, World, engine, on_each_store};
use serde::{Deserialize, Serialize};

use crate::journal::entries;
use crate::planted::Whole;

#[derive(Debug, Clone, Serialize, Deserialize, Event)]
struct Approval {
    by: String,
}

#[workflow]
async fn pays_twice_and_works() -> Result<(), SagaError> {
    pay("a".to_owned()).await?;
    pay("b".to_owned()).await?;
    step("c".to_owned()).await?;
    Ok(())
}

#[workflow]
async fn pays_on_approval() -> Result<String, SagaError> {
    let fee = pay("fee".to_owned()).await?;
    let by = event::<Approval>().await.by;
    let room = book("room".to_owned()).await?;
    Ok(format!("{fee} {by} {room}"))
}

on_each_store!(
    a_terminated_run_is_not_undone,
    a_worker_whose_run_another_process_terminated_has_no_say,
    a_run_that_nobody_took_or_that_is_dead_can_be_terminated_and_one_that_ended_cannot,
    a_suspended_run_lets_attempts_end_and_starts_none,
    a_suspended_run_keeps_what_comes_and_survives_restarts,
    a_cancel_of_a_suspended_run_takes_effect_when_it_is_resumed,
    a_run_that_sleeps_out_of_memory_can_be_suspended,
    a_run_that_is_being_undone_can_be_suspended,
    a_suspended_run_cut_after_any_record_ends_the_same,
);

async fn until<W: Workflow>(run: &RunHandle<W>, state: RunState) {
    while run.view().await.unwrap().state != state {
        tokio::task::yield_now().await;
    }
}

async fn until_recorded(client: &Client, id: &str, is_it: impl Fn(&Entry) -> bool) {
    while !entries(client, id).await.iter().any(&is_it) {
        tokio::task::yield_now().await;
    }
}

async fn a_terminated_run_is_not_undone(place: impl Place) {
    let world = World::default();
    world.plan("b", [Act::Hang]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(pays_twice_and_works()).id("A").await.unwrap();
    world.began("b").await;
    run.terminate("fraud".to_owned()).await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Terminated);
    world.heard("dropped b").await;
    assert_eq!(world.log(), ["a", "b"]);
    let details = engine.client().show("A").await.unwrap();
    assert_eq!(details.view.state, RunState::Terminated);
    let Some(Conclusion::Terminated(request)) = details.conclusion else { panic!("not terminated") };
    assert_eq!(request.reason.as_deref(), Some("fraud"));
    engine.shutdown().await;
}

async fn a_worker_whose_run_another_process_terminated_has_no_say(place: impl Place) {
    let world = World::default();
    world.plan("b", [Act::Wait]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(pays_twice_and_works()).id("A").await.unwrap();
    world.began("b").await;
    let operator = Client::new(place.beside().await);
    operator.terminate("A", None).await.unwrap();
    world.open("b");
    assert_eq!(run.outcome().await.unwrap(), Outcome::Terminated);
    engine.shutdown().await;
    assert_eq!(world.log(), ["a", "b"]);
    let all = entries(&operator, "A").await;
    assert!(matches!(all.last(), Some(Entry::Concluded(Conclusion::Terminated(_)))), "{all:?}");
    let ended = all.iter().filter(|entry| matches!(entry, Entry::StepEnded(_))).count();
    assert_eq!(ended, 1, "what b returned was refused");
}

async fn a_run_that_nobody_took_or_that_is_dead_can_be_terminated_and_one_that_ended_cannot(place: impl Place) {
    #[workflow]
    async fn falls_over() -> Result<(), SagaError> {
        panic!("fell over");
    }
    let world = World::default();
    let client = Client::new(place.open().await);
    client.start(pays_twice_and_works()).id("A").await.unwrap();
    client.terminate("A", None).await.unwrap();
    assert_eq!(client.terminate("A", None).await.unwrap_err().to_string(), "run A has ended");
    assert!(client.terminate("nobody", None).await.unwrap_err().is_no_run());
    drop(client);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(falls_over()).id("B").await.unwrap();
    assert!(matches!(run.outcome().await.unwrap(), Outcome::Dead(_)));
    engine.client().terminate("B", None).await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Terminated);
    assert!(world.log().is_empty());
}

async fn a_suspended_run_lets_attempts_end_and_starts_none(place: impl Place) {
    let world = World::default();
    world.plan("b", [Act::Wait]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(pays_twice_and_works()).id("A").await.unwrap();
    world.began("b").await;
    run.suspend().await.unwrap();
    until(&run, RunState::Suspended).await;
    world.open("b");
    let ended = |entry: &Entry| matches!(entry, Entry::StepEnded(ended) if ended.op.to_string() == "1");
    until_recorded(engine.client(), "A", ended).await;
    // A second run goes from start to end meanwhile: this one had every occasion.
    engine.client().start(pays_twice_and_works()).id("B").await.unwrap().result().await.unwrap();
    assert_eq!(run.view().await.unwrap().state, RunState::Suspended);
    assert_eq!(world.attempts("c").len(), 1, "that of B");
    run.resume().await.unwrap();
    run.result().await.unwrap();
    assert_eq!(world.attempts("c").len(), 2);
    assert_eq!(world.attempts("b").len(), 2, "one each");
}

async fn a_suspended_run_keeps_what_comes_and_survives_restarts(place: impl Place) {
    let world = World::default();
    let first = engine(&place, &world).await;
    let run = first.client().start(pays_on_approval()).id("A").await.unwrap();
    until(&run, RunState::Waiting).await;
    run.suspend().await.unwrap();
    until(&run, RunState::Suspended).await;
    run.send(Approval { by: "me".to_owned() }).await.unwrap();
    until_recorded(first.client(), "A", |entry| matches!(entry, Entry::EventReceived(_))).await;
    drop((run, first));
    let second = engine(&place, &world).await;
    let run = second.client().attach::<pays_on_approval>("A").await.unwrap();
    run.send(Approval { by: "too late".to_owned() }).await.unwrap();
    let received = |entries: Vec<Entry>| entries.iter().filter(|e| matches!(e, Entry::EventReceived(_))).count();
    while received(entries(second.client(), "A").await) < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(run.view().await.unwrap().state, RunState::Suspended);
    assert_eq!(world.log(), ["fee"]);
    run.resume().await.unwrap();
    assert_eq!(run.result().await.unwrap(), "fee! me room!");
}

async fn a_cancel_of_a_suspended_run_takes_effect_when_it_is_resumed(place: impl Place) {
    let world = World::default();
    let first = engine(&place, &world).await;
    let run = first.client().start(pays_on_approval()).id("A").await.unwrap();
    run.suspend().await.unwrap();
    run.cancel().await.unwrap();
    until_recorded(first.client(), "A", |entry| matches!(entry, Entry::CancelRequested(_))).await;
    assert_eq!(run.view().await.unwrap().state, RunState::Suspended);
    drop((run, first));
    let second = engine(&place, &world).await;
    let run = second.client().attach::<pays_on_approval>("A").await.unwrap();
    run.resume().await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Cancelled);
    let undone = world.log().contains(&"fee".to_owned());
    assert_eq!(world.log().contains(&"undo fee".to_owned()), undone);
}

async fn a_run_that_sleeps_out_of_memory_can_be_suspended(place: impl Place) {
    #[workflow]
    async fn sleeps_then_works() -> Result<(), SagaError> {
        sleep(Duration::from_secs(3600)).await;
        step("work".to_owned()).await?;
        Ok(())
    }
    let world = World::default();
    let engine = engine(&place, &world).await;
    let run = engine.client().start(sleeps_then_works()).id("A").await.unwrap();
    until(&run, RunState::Waiting).await;
    run.suspend().await.unwrap();
    until(&run, RunState::Suspended).await;
    run.resume().await.unwrap();
    until_recorded(engine.client(), "A", |entry| matches!(entry, Entry::Resumed(_))).await;
    run.cancel().await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Cancelled);
    assert!(world.log().is_empty());
}

async fn a_run_that_is_being_undone_can_be_suspended(place: impl Place) {
    #[workflow]
    async fn gives_up() -> Result<(), SagaError> {
        pay("a".to_owned()).await?;
        pay("b".to_owned()).await?;
        Err(SagaError::GivesUp)
    }
    let world = World::default();
    world.plan("undo b", [Act::Wait]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(gives_up()).id("A").await.unwrap();
    world.began("undo b").await;
    run.suspend().await.unwrap();
    until(&run, RunState::Suspended).await;
    world.open("undo b");
    until_recorded(engine.client(), "A", |entry| matches!(entry, Entry::UndoEnded(..))).await;
    assert_eq!(world.log(), ["a", "b", "undo b"]);
    run.resume().await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Failed(SagaError::GivesUp));
    assert_eq!(world.log(), ["a", "b", "undo b", "undo a"]);
}

async fn a_suspended_run_cut_after_any_record_ends_the_same(place: impl Place) {
    let whole = suspended_for_a_while(&place).await;
    for cut in 1..whole.journal.len() {
        let other = place.another();
        let store = other.open().await;
        whole.plant(&store, cut).await;
        drop(store);
        let world = World::default();
        let engine = engine(&other, &world).await;
        let run = engine.client().attach::<pays_on_approval>("A").await.unwrap();
        let said = whole.entries(cut);
        if !said.iter().any(|entry| matches!(entry, Entry::EventReceived(_))) {
            run.send(Approval { by: "me".to_owned() }).await.unwrap();
        }
        match run.resume().await {
            // Cut before it was suspended, it waits for nobody.
            Err(ClientError::HasEnded { .. }) if !said.iter().any(|entry| matches!(entry, Entry::Suspended(_))) => {}
            resumed => resumed.unwrap(),
        }
        assert_eq!(run.result().await.unwrap(), "fee! me room!", "cut after {cut}");
        let ended = said.iter().filter(|entry| matches!(entry, Entry::StepEnded(_))).count();
        assert_eq!(world.log().len(), 2 - ended, "cut after {cut}: {:?}", world.log());
        engine.shutdown().await;
    }
}

async fn suspended_for_a_while(place: &impl Place) -> Whole {
    let world = World::default();
    world.plan("fee", [Act::Wait]);
    let engine = engine(place, &world).await;
    let run = engine.client().start(pays_on_approval()).id("A").await.unwrap();
    world.began("fee").await;
    run.suspend().await.unwrap();
    until(&run, RunState::Suspended).await;
    world.open("fee");
    until_recorded(engine.client(), "A", |entry| matches!(entry, Entry::StepEnded(_))).await;
    run.send(Approval { by: "me".to_owned() }).await.unwrap();
    until_recorded(engine.client(), "A", |entry| matches!(entry, Entry::EventReceived(_))).await;
    run.resume().await.unwrap();
    assert_eq!(run.result().await.unwrap(), "fee! me room!");
    engine.shutdown().await;
    drop(run);
    let store = place.open().await;
    let whole = Whole::read(&store, "A").await;
    assert!(whole.journal.len() > 6, "{:#?}", whole.entries(whole.journal.len()));
    whole
}
