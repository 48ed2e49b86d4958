//! New executions that begin with a part of another one's journal; and what is done to many runs.

use std::collections::BTreeSet;

use saga_runtime::prelude::*;
use saga_runtime::store::wire::Entry;
use saga_runtime::store::{ExecutionId, Query, RunState};
use saga_runtime::{Action, Client, Repair};
use saga_tests::steps::{SagaError, book, pay, step};
use saga_tests::{Act, Place, World, engine, on_each_store};

use crate::journal::entries;
use crate::planted::Whole;

#[workflow]
async fn checks_books_and_works(large: bool) -> Result<String, SagaError> {
    let checked = step(if large { "large".to_owned() } else { "check".to_owned() }).await?;
    let drawn = random::<u64>();
    let room = book("room".to_owned()).await?;
    let fee = pay("fee".to_owned()).await?;
    step("work".to_owned()).await?;
    Ok(format!("{} {drawn} {room} {fee}", checked.len()))
}

on_each_store!(
    a_failed_run_is_retried_from_its_earliest_undone_step,
    a_run_that_failed_before_anything_was_to_undo_is_retried_from_the_step_that_failed,
    what_cannot_be_retried_or_forked_is_refused,
    a_completed_run_is_forked_from_a_step_with_its_random_values,
    a_fork_copies_large_payloads,
    a_fork_whose_copy_was_cut_short_does_nothing,
    many_runs_are_acted_on_by_filter,
);

async fn outcome_of(client: &Client, execution: ExecutionId, id: &str) -> Outcome<String, SagaError> {
    let run = client.attach::<checks_books_and_works>(id).await.unwrap();
    assert_eq!(run.execution(), execution);
    run.outcome().await.unwrap()
}

async fn a_failed_run_is_retried_from_its_earliest_undone_step(place: impl Place) {
    let world = World::default();
    world.plan("work", [Act::Decline, Act::Decline]);
    let engine = engine(&place, &world).await;
    let client = engine.client();
    let run = client.start(checks_books_and_works(false)).id("A").attribute("customer", "4").await.unwrap();
    assert!(matches!(run.outcome().await.unwrap(), Outcome::Failed(_)));
    for round in 0..2 {
        let execution = client.retry("A").await.unwrap();
        let outcome = outcome_of(client, execution, "A").await;
        assert_eq!(matches!(outcome, Outcome::Completed(_)), round == 1);
    }
    let forward = ["check", "room", "fee", "work", "undo fee", "undo room!"];
    let again = ["room", "fee", "work"];
    let expected = [&forward[..], &again, &["undo fee", "undo room!"], &again].concat();
    assert_eq!(world.log(), expected);
    let keys: BTreeSet<String> = world.attempts("room").into_iter().map(|attempt| attempt.key).collect();
    assert_eq!(keys.len(), 3, "each execution has keys of its own");
    assert_eq!(client.get("A").await.unwrap().attributes, [("customer".to_owned(), "4".to_owned())]);
}

async fn a_run_that_failed_before_anything_was_to_undo_is_retried_from_the_step_that_failed(place: impl Place) {
    #[workflow]
    async fn checks_twice() -> Result<(), SagaError> {
        step("one".to_owned()).await?;
        step("two".to_owned()).await?;
        Ok(())
    }
    let world = World::default();
    world.plan("two", [Act::Decline]);
    let engine = engine(&place, &world).await;
    engine.client().start(checks_twice()).id("A").await.unwrap().outcome().await.unwrap();
    engine.client().retry("A").await.unwrap();
    let run = engine.client().attach::<checks_twice>("A").await.unwrap();
    run.result().await.unwrap();
    assert_eq!(world.log(), ["one", "two", "two"]);
}

async fn what_cannot_be_retried_or_forked_is_refused(place: impl Place) {
    let world = World::default();
    world.plan("work", [Act::Decline, Act::Wait]);
    let engine = engine(&place, &world).await;
    let client = engine.client();
    client.start(checks_books_and_works(false)).id("A").await.unwrap().outcome().await.unwrap();
    let live = client.start(checks_books_and_works(false)).id("B").await.unwrap();
    world.began("work").await;
    world.began("work").await;
    assert_eq!(client.retry("B").await.unwrap_err().to_string(), "run B has not ended");
    world.open("work");
    live.result().await.unwrap();
    let error = client.retry("B").await.unwrap_err().to_string();
    assert_eq!(error, "the run is completed, not failed: fork it (run B)");
    let error = client.fork("A", "4").await.unwrap_err().to_string();
    let expected = "step 2, which comes before step 4, has been undone; fork from it or from an earlier one (run A)";
    assert_eq!(error, expected);
    assert_eq!(client.fork("A", "9").await.unwrap_err().to_string(), "the run has no step 9 (run A)");
    assert_eq!(client.fork("B", "3").id("A").await.unwrap_err().to_string(), "run A exists");
    assert!(client.fork("nobody", "0").await.unwrap_err().is_no_run());
}

async fn a_completed_run_is_forked_from_a_step_with_its_random_values(place: impl Place) {
    let world = World::default();
    let engine = engine(&place, &world).await;
    let client = engine.client();
    let run = client.start(checks_books_and_works(false)).id("A").await.unwrap();
    let first = run.result().await.unwrap();
    let execution = client.fork("A", "3").id("A-again").await.unwrap();
    assert_eq!(outcome_of(client, execution, "A-again").await, Outcome::Completed(first));
    assert_eq!(world.log(), ["check", "room", "fee", "work", "fee", "work"]);
    assert_eq!(client.get("A").await.unwrap().execution, run.execution());
    let copied = entries(client, "A-again").await;
    assert!(matches!(&copied[0], Entry::Started(started) if started.id == "A-again"));
}

async fn a_fork_copies_large_payloads(place: impl Place) {
    let world = World::default();
    world.plan("large", [Act::Fill(300_000)]);
    let engine = engine(&place, &world).await;
    let client = engine.client();
    let run = client.start(checks_books_and_works(true)).id("A").await.unwrap();
    let first = run.result().await.unwrap();
    assert!(first.starts_with("300000 "));
    let execution = client.fork("A", "2").await.unwrap();
    assert_eq!(outcome_of(client, execution, "A").await, Outcome::Completed(first));
    assert_eq!(world.attempts("large").len(), 1);
}

async fn a_fork_whose_copy_was_cut_short_does_nothing(place: impl Place) {
    let there = place.another();
    let first = engine(&there, &World::default()).await;
    first.client().start(checks_books_and_works(false)).id("A").await.unwrap().result().await.unwrap();
    let execution = first.client().fork("A", "3").await.unwrap();
    outcome_of(first.client(), execution, "A").await;
    first.shutdown().await;
    let whole = Whole::read(&there.open().await, "A").await;
    assert_eq!(whole.view.execution, execution);
    whole.plant(&place.open().await, 2).await;
    let world = World::default();
    let engine = engine(&place, &world).await;
    let Outcome::Dead(reason) = outcome_of(engine.client(), execution, "A").await else { panic!("not dead") };
    assert!(reason.contains("the copy of another execution's journal was not completed"), "{reason}");
    assert!(world.log().is_empty());
}

async fn many_runs_are_acted_on_by_filter(place: impl Place) {
    let world = World::default();
    world.plan("work", [Act::Decline; 3]);
    let engine = engine(&place, &world).await;
    let client = engine.client();
    for number in 0..5 {
        let run = client.start(checks_books_and_works(false)).id(format!("A-{number}")).await.unwrap();
        run.outcome().await.unwrap();
    }
    let failed = Query { states: vec![RunState::Failed], id_prefix: Some("A-".to_owned()), ..Query::default() };
    let dry = client.bulk(failed.clone(), Action::Retry).dry_run().await.unwrap();
    assert_eq!((dry.done.len(), dry.refused.len()), (3, 0));
    assert_eq!(world.attempts("work").len(), 5, "nothing was done");
    let report = client.bulk(failed, Action::Retry).rate(1000).await.unwrap();
    assert_eq!(report.done, dry.done);
    for id in &report.done {
        let run = client.attach::<checks_books_and_works>(id.as_str()).await.unwrap();
        run.result().await.unwrap();
    }
    let all = Query { id_prefix: Some("A-".to_owned()), ..Query::default() };
    let report = client.bulk(all.clone(), Action::Terminate { reason: None }).rate(1000).await.unwrap();
    // The five, and the three executions that were replaced.
    assert_eq!((report.done.len(), report.refused.len()), (0, 8));
    let report = client.bulk(all, Action::Repair(Repair::Retry)).rate(1000).await.unwrap();
    assert!(report.refused[0].1.to_string().contains("has ended"), "{report:?}");
}
