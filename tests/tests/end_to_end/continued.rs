//! Runs that go on under the same id with a fresh journal.

use std::time::Duration;

use saga_runtime::prelude::*;
use saga_runtime::store::wire::{Conclusion, Entry};
use saga_runtime::store::{OnExisting, Query, RunState, Store, Timestamp};
use saga_runtime::{Client, ClientError, RunHandle, Workflow};
use saga_tests::steps::{SagaError, pay, step};
use saga_tests::{Act, Place, World, engine, on_each_store};
use serde::{Deserialize, Serialize};

use crate::cutting::cut_everywhere;
use crate::journal::entries;

#[derive(Debug, Clone, Serialize, Deserialize, Event)]
#[event(name = "tick")]
struct Tick {
    number: u64,
}

/// Takes an event in each of so many executions.
#[workflow]
async fn sums(rounds: u64, sum: u64) -> Result<u64, SagaError> {
    if rounds == 0 {
        return Ok(sum);
    }
    let tick = event::<Tick>().await;
    step(format!("round {rounds}")).await?;
    continue_as_new(sums(rounds - 1, sum * 10 + tick.number)).await
}

/// Pays in each of so many executions, and sleeps through none.
#[workflow]
async fn pays_on(rounds: u64) -> Result<u64, SagaError> {
    pay(format!("fee {rounds}")).await?;
    sleep(Duration::ZERO).await;
    if rounds == 0 {
        step("last".to_owned()).await?;
        return Ok(rounds);
    }
    continue_as_new(pays_on(rounds - 1)).await
}

on_each_store!(
    a_run_goes_on_under_its_id_and_its_handle_gives_the_last_result,
    events_that_nobody_took_go_on_in_their_order,
    what_a_finished_execution_did_stays,
    whatever_is_asked_of_an_old_handle_reaches_the_last_execution,
    a_parent_waits_for_the_last_execution_of_its_child,
    a_cancel_reaches_the_last_execution_of_a_child,
    children_that_it_holds_go_on_by_themselves,
    a_handle_of_an_execution_that_was_replaced_is_not_for_the_new_one,
    a_call_says_what_is_different_in_the_next_execution,
    old_executions_are_purged_and_the_run_goes_on,
    what_cannot_go_on_is_dead_with_a_reason,
    cut_anywhere_it_goes_on_exactly_once,
    cut_anywhere_a_failed_one_ends_the_same,
    many_executions_leave_small_journals,
);

async fn executions(client: &Client, prefix: &str) -> Vec<RunState> {
    let query = Query { id_prefix: Some(prefix.to_owned()), limit: 1000, ..Query::default() };
    client.list(&query).await.unwrap().runs.into_iter().map(|view| view.state).collect()
}

async fn a_run_goes_on_under_its_id_and_its_handle_gives_the_last_result(place: impl Place) {
    let engine = engine(&place, &World::default()).await;
    let client = engine.client();
    let start = client.start(sums(3, 0)).id("A").attribute("customer", "4").memo("note").lane("slow").priority(-2);
    let run = start.await.unwrap();
    run.send(Tick { number: 1 }).await.unwrap();
    client.send("A", Tick { number: 2 }).await.unwrap();
    client.send_json("A", "tick", "{\"number\":3}").await.unwrap();
    assert_eq!(run.result().await.unwrap(), 123);
    let last = client.get("A").await.unwrap();
    assert_ne!(last.execution, run.execution());
    assert_eq!(run.view().await.unwrap(), last);
    assert_eq!((last.lane.as_str(), last.priority), ("slow", -2));
    assert_eq!(last.attributes, [("customer".to_owned(), "4".to_owned())]);
    assert_eq!(last.memo, client.list(&Query { limit: 9, ..Query::default() }).await.unwrap().runs[3].memo);
    let states = executions(client, "A").await;
    assert_eq!(states, [RunState::Completed, RunState::Continued, RunState::Continued, RunState::Continued]);
    // Whoever comes later is led to the end as well.
    let again = client.start(sums(3, 0)).id("A").await.unwrap();
    assert!(!again.is_new());
    assert_eq!(again.result().await.unwrap(), 123);
    engine.shutdown().await;
    let elsewhere = Client::new(place.beside().await);
    assert_eq!(elsewhere.attach::<sums>("A").await.unwrap().result().await.unwrap(), 123);
    assert!(matches!(elsewhere.send("A", Tick { number: 4 }).await, Err(ClientError::HasEnded { .. })));
}

async fn events_that_nobody_took_go_on_in_their_order(place: impl Place) {
    let engine = engine(&place, &World::default()).await;
    let start = engine.client().start(sums(4, 0)).id("A");
    let start = start.with_event(Tick { number: 1 }).with_event(Tick { number: 2 });
    let run = start.with_event(Tick { number: 3 }).with_event(Tick { number: 4 }).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 1234);
}

async fn what_a_finished_execution_did_stays(place: impl Place) {
    let world = World::default();
    world.plan("last", [Act::Decline]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(pays_on(2)).id("A").await.unwrap();
    assert!(matches!(run.outcome().await.unwrap(), Outcome::Failed(_)));
    assert_eq!(world.log(), ["fee 2", "fee 1", "fee 0", "last", "undo fee 0"]);
}

async fn until(client: &Client, id: &str, state: RunState) {
    while client.get(id).await.unwrap().state != state {
        tokio::task::yield_now().await;
    }
}

async fn whatever_is_asked_of_an_old_handle_reaches_the_last_execution(place: impl Place) {
    let engine = engine(&place, &World::default()).await;
    let client = engine.client();
    let first = |id: &'static str| client.start(sums(3, 0)).id(id).with_event(Tick { number: 1 });
    let second = async |run: &RunHandle<sums>| {
        while client.get(run.id().as_str()).await.unwrap().execution == run.execution() {
            tokio::task::yield_now().await;
        }
    };
    let a = first("A").await.unwrap();
    second(&a).await;
    a.suspend().await.unwrap();
    until(client, "A", RunState::Suspended).await;
    assert_eq!(a.view().await.unwrap().state, RunState::Suspended);
    a.resume().await.unwrap();
    let mut watch = a.watch();
    a.cancel().await.unwrap();
    assert_eq!(a.outcome().await.unwrap(), Outcome::Cancelled);
    let mut last = None;
    while let Some(update) = watch.next().await {
        last = Some(update.unwrap().state);
    }
    assert_eq!(last, Some(RunState::Cancelled));
    let b = first("B").await.unwrap();
    // From the first execution on: what is followed goes on.
    let mut watch = b.watch();
    second(&b).await;
    b.terminate("enough".to_owned()).await.unwrap();
    assert_eq!(b.outcome().await.unwrap(), Outcome::Terminated);
    assert_eq!(executions(client, "B").await, [RunState::Terminated, RunState::Continued]);
    while let Some(update) = watch.next().await {
        last = Some(update.unwrap().state);
    }
    assert_eq!(last, Some(RunState::Terminated));
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
enum ParentError {
    #[error(transparent)]
    Child(#[from] ChildError<SagaError>),
    #[error(transparent)]
    Step(#[from] ActivityError<saga_tests::StepError>),
    #[error(transparent)]
    Send(#[from] SendError),
}

#[workflow]
async fn awaits_a_sum(rounds: u64) -> Result<u64, ParentError> {
    let mut child = spawn(sums(rounds, 0).id("child").attribute("of", "A")).await?;
    for number in 1..=rounds {
        child.send(Tick { number })?;
    }
    Ok((&mut child).await?)
}

async fn a_parent_waits_for_the_last_execution_of_its_child(place: impl Place) {
    let engine = engine(&place, &World::default()).await;
    let run = engine.client().start(awaits_a_sum(3)).id("A").await.unwrap();
    assert_eq!(run.result().await.unwrap(), 123);
    let child = engine.client().get("child").await.unwrap();
    assert_eq!(child.attributes, [("of".to_owned(), "A".to_owned())]);
    assert_eq!(executions(engine.client(), "child").await.len(), 4);
}

#[workflow]
async fn holds_a_sum() -> Result<u64, ParentError> {
    Ok(sums(9, 0).id("child").await?)
}

async fn a_cancel_reaches_the_last_execution_of_a_child(place: impl Place) {
    let engine = engine(&place, &World::default()).await;
    let client = engine.client();
    let run = client.start(holds_a_sum()).id("A").await.unwrap();
    while client.get("child").await.is_err() {
        tokio::task::yield_now().await;
    }
    for number in 1..=2 {
        client.send("child", Tick { number }).await.unwrap();
    }
    while executions(client, "child").await.len() < 3 {
        tokio::task::yield_now().await;
    }
    run.cancel().await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Cancelled);
    let states = executions(client, "child").await;
    assert_eq!(states, [RunState::Cancelled, RunState::Continued, RunState::Continued]);
}

#[workflow]
async fn leaves_a_child(again: bool) -> Result<(), ParentError> {
    let child = spawn(sums(1, 0).id("child")).await;
    if again {
        step("before".to_owned()).await?;
        return continue_as_new(leaves_a_child(false)).await;
    }
    assert!(matches!(child?.await, Err(ChildError::NotStarted(_))));
    Ok(())
}

async fn children_that_it_holds_go_on_by_themselves(place: impl Place) {
    let engine = engine(&place, &World::default()).await;
    let run = engine.client().start(leaves_a_child(true)).id("A").await.unwrap();
    run.result().await.unwrap();
    engine.client().send("child", Tick { number: 7 }).await.unwrap();
    let child = engine.client().attach::<sums>("child").await.unwrap();
    assert_eq!(child.result().await.unwrap(), 7);
}

async fn a_handle_of_an_execution_that_was_replaced_is_not_for_the_new_one(place: impl Place) {
    let engine = engine(&place, &World::default()).await;
    let client = engine.client();
    let old = client.start(sums(0, 5)).id("A").await.unwrap();
    old.result().await.unwrap();
    let new = client.start(sums(1, 0)).id("A").on_existing(OnExisting::ReplaceFinished).await.unwrap();
    assert!(new.is_new());
    assert!(matches!(old.terminate(None).await, Err(ClientError::HasEnded { .. })));
    assert!(matches!(old.cancel().await, Err(ClientError::HasEnded { .. })));
    assert!(matches!(old.suspend().await, Err(ClientError::HasEnded { .. })));
    assert!(matches!(old.send(Tick { number: 1 }).await, Err(ClientError::HasEnded { .. })));
    assert_eq!(old.view().await.unwrap().state, RunState::Completed);
    assert_eq!(old.result().await.unwrap(), 5);
    new.send(Tick { number: 3 }).await.unwrap();
    assert_eq!(new.result().await.unwrap(), 3);
}

#[workflow]
async fn says_more(again: bool) -> Result<u64, SagaError> {
    if again {
        let call = says_more(false).attribute("round", "2").attribute("new", "1").memo(&7).lane("fast").priority(3);
        return continue_as_new(call.delay(Duration::from_millis(1))).await;
    }
    Ok(7)
}

async fn a_call_says_what_is_different_in_the_next_execution(place: impl Place) {
    let engine = engine(&place, &World::default()).await;
    let client = engine.client();
    let start = client.start(says_more(true)).id("A").attribute("round", "1").attribute("kept", "0").memo(&1);
    let run = start.await.unwrap();
    assert_eq!(run.result().await.unwrap(), 7);
    let view = run.view().await.unwrap();
    let mut attributes = view.attributes.clone();
    attributes.sort();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(attributes, [pair("kept", "0"), pair("new", "1"), pair("round", "2")]);
    assert_eq!((view.lane.as_str(), view.priority), ("fast", 3));
    let memo: saga_runtime::store::wire::Payload =
        saga_runtime::store::wire::decode(view.memo.as_ref().unwrap()).unwrap();
    assert_eq!(memo.inline().unwrap().as_ref(), b"7");
    assert!(entries(client, "A").await.contains(&Entry::Begun));
}

async fn old_executions_are_purged_and_the_run_goes_on(place: impl Place) {
    let engine = engine(&place, &World::default()).await;
    let client = engine.client();
    let run = client.start(sums(2, 0)).id("A").with_event(Tick { number: 1 }).await.unwrap();
    while executions(client, "A").await.len() < 2 || run.view().await.unwrap().execution == run.execution() {
        tokio::task::yield_now().await;
    }
    let store = place.beside().await;
    let later = Timestamp::from_system_clock().after(Duration::from_secs(3600));
    // The order to go on is forgotten a moment after it was carried out.
    while store.purge(later, 10).await.unwrap().runs == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(executions(client, "A").await.len(), 1);
    run.send(Tick { number: 2 }).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 12);
}

#[workflow]
async fn goes_on_beside_a_step() -> Result<u64, SagaError> {
    let (left, right) = join!(step("hangs".to_owned()), async {
        step("works".to_owned()).await?;
        continue_as_new(goes_on_beside_a_step()).await
    })
    .await;
    left?;
    right
}

#[workflow]
async fn goes_on_as_another() -> Result<u64, SagaError> {
    continue_as_new(sums(1, 1)).await
}

#[workflow]
async fn goes_on_under_another_id() -> Result<u64, SagaError> {
    continue_as_new(goes_on_under_another_id().id("B")).await
}

async fn what_cannot_go_on_is_dead_with_a_reason(place: impl Place) {
    async fn reason<W: Workflow<Output = u64, Error = SagaError>>(run: RunHandle<W>) -> String {
        match run.outcome().await.unwrap() {
            Outcome::Dead(reason) => reason,
            other => panic!("not dead: {other:?}"),
        }
    }
    let world = World::default();
    world.plan("hangs", [Act::Hang]);
    let engine = engine(&place, &world).await;
    let client = engine.client();
    let beside = reason(client.start(goes_on_beside_a_step()).id("A").await.unwrap()).await;
    assert!(beside.contains("while step 0.0.0 was under way"), "{beside}");
    let continued =
        |entry: &Entry| matches!(entry, Entry::Continued(_) | Entry::Concluded(Conclusion::Continued { .. }));
    assert!(!entries(client, "A").await.iter().any(continued));
    let other = reason(client.start(goes_on_as_another()).await.unwrap()).await;
    assert!(other.contains("this is a call of `sums`; `spawn` it"), "{other}");
    let id = reason(client.start(goes_on_under_another_id()).await.unwrap()).await;
    assert!(id.contains("the call says `.id(\"B\")`"), "{id}");
}

async fn cut_anywhere_it_goes_on_exactly_once(place: impl Place) {
    let start = |client: &Client| {
        let start = client.start(sums(2, 0)).with_event(Tick { number: 1 }).with_event(Tick { number: 2 });
        start.attribute("customer", "4")
    };
    cut_everywhere::<sums>(&place, World::default, start).await;
}

async fn cut_anywhere_a_failed_one_ends_the_same(place: impl Place) {
    let world = || {
        let world = World::default();
        world.plan("last", [Act::Decline; 2]);
        world
    };
    cut_everywhere::<pays_on>(&place, world, |client| client.start(pays_on(1))).await;
}

#[workflow]
async fn counts_down(left: u64) -> Result<u64, SagaError> {
    if left == 0 {
        return Ok(left);
    }
    continue_as_new(counts_down(left - 1)).await
}

async fn many_executions_leave_small_journals(place: impl Place) {
    let engine = engine(&place, &World::default()).await;
    let run = engine.client().start(counts_down(60)).id("A").await.unwrap();
    assert_eq!(run.result().await.unwrap(), 0);
    assert_eq!(executions(engine.client(), "A").await.len(), 61);
    assert!(entries(engine.client(), "A").await.len() <= 2);
}
