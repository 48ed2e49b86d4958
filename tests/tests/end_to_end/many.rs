//! Many things at once, with a limit or until one fails.

use saga_runtime::prelude::*;
use saga_tests::steps::{SagaError, pay, step};
use saga_tests::{Act, Place, World, engine, on_each_store};

use crate::journal::entries;
use crate::planted::Whole;

#[workflow]
async fn pays_all(names: Vec<String>) -> Result<Vec<String>, SagaError> {
    Ok(try_join_all(names.into_iter().map(pay)).await?)
}

#[workflow]
async fn two_at_a_time(names: Vec<String>) -> Result<Vec<String>, SagaError> {
    let mut done = Vec::new();
    for each in for_each_concurrent(2, names, step).await {
        done.push(each?);
    }
    Ok(done)
}

#[activity]
async fn squared(number: u64) -> saga_runtime::Result<u64> {
    Ok(number * number)
}

on_each_store!(
    all_values_come_in_the_order_of_the_items,
    the_first_error_lets_the_others_go_and_undoes_them,
    no_more_than_the_limit_are_under_way,
    a_limited_run_cut_after_any_record_ends_the_same,
    ten_thousand_activities_run_in_one_run,
);

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

async fn all_values_come_in_the_order_of_the_items(place: impl Place) {
    let world = World::default();
    world.plan("a", [Act::Wait]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(pays_all(names(&["a", "b", "c"]))).await.unwrap();
    world.began("c").await;
    world.open("a");
    assert_eq!(run.result().await.unwrap(), ["a!", "b!", "c!"]);
    let none = engine.client().start(pays_all(Vec::new())).await.unwrap();
    assert_eq!(none.result().await.unwrap(), [""; 0]);
    let none = engine.client().start(two_at_a_time(Vec::new())).await.unwrap();
    assert_eq!(none.result().await.unwrap(), [""; 0]);
}

async fn the_first_error_lets_the_others_go_and_undoes_them(place: impl Place) {
    let world = World::default();
    world.plan("b", [Act::Decline]);
    world.plan("c", [Act::Hang]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(pays_all(names(&["a", "b", "c"]))).await.unwrap();
    assert!(matches!(run.outcome().await.unwrap(), Outcome::Failed(SagaError::Step(_))));
    let log = world.log();
    assert!(log.contains(&"undo a".to_owned()) && log.contains(&"undo c".to_owned()), "{log:?}");
    assert!(!log.contains(&"undo b".to_owned()), "{log:?}");
}

async fn no_more_than_the_limit_are_under_way(place: impl Place) {
    let world = World::default();
    for name in ["a", "b", "c", "d"] {
        world.plan(name, [Act::Wait]);
    }
    let engine = engine(&place, &world).await;
    let run = engine.client().start(two_at_a_time(names(&["a", "b", "c", "d"]))).await.unwrap();
    world.began("a").await;
    world.began("b").await;
    assert_eq!(world.log().len(), 2);
    world.open("b");
    world.began("c").await;
    assert_eq!(world.log().len(), 3);
    world.open("c");
    world.began("d").await;
    world.open("d");
    world.open("a");
    assert_eq!(run.result().await.unwrap(), ["a!", "b!", "c!", "d!"]);
}

async fn a_limited_run_cut_after_any_record_ends_the_same(place: impl Place) {
    let first = engine(&place, &World::default()).await;
    let all = names(&["a", "b", "c", "d", "e"]);
    first.client().start(two_at_a_time(all.clone())).id("A").await.unwrap().result().await.unwrap();
    first.shutdown().await;
    let whole = Whole::read(&place.open().await, "A").await;
    for cut in 1..whole.journal.len() {
        let other = place.another();
        whole.plant(&other.open().await, cut).await;
        let engine = engine(&other, &World::default()).await;
        let run = engine.client().attach::<two_at_a_time>("A").await.unwrap();
        assert_eq!(run.result().await.unwrap(), ["a!", "b!", "c!", "d!", "e!"], "cut after {cut}");
        engine.shutdown().await;
    }
}

/// So many steps at once that what takes the square of their number is seen.
const MANY: u64 = 10_000;

#[workflow]
async fn squares_limited() -> saga_runtime::Result<u64> {
    let mut sum = 0;
    for square in for_each_concurrent(1000, 0..MANY, squared).await {
        sum += square?;
    }
    Ok(sum)
}

#[workflow]
async fn squares_at_once() -> saga_runtime::Result<u64> {
    let mut sum = 0;
    for square in join_all((0..MANY).map(squared)).await {
        sum += square?;
    }
    Ok(sum)
}

fn sum_of_squares() -> u64 {
    (0..MANY).map(|number| number * number).sum()
}

async fn ten_thousand_activities_run_in_one_run(place: impl Place) {
    let engine = engine(&place, &World::default()).await;
    let client = engine.client();
    let limited = client.start(squares_limited()).id("limited").await.unwrap();
    assert_eq!(limited.result().await.unwrap(), sum_of_squares());
    assert!(entries(client, "limited").await.len() > 20_000);
    let at_once = client.start(squares_at_once()).id("at once").await.unwrap();
    assert_eq!(at_once.result().await.unwrap(), sum_of_squares());
    assert!(entries(client, "at once").await.len() > 20_000);
    engine.shutdown().await;
    // What another worker finds half way.
    let store = place.open().await;
    for id in ["limited", "at once"] {
        let whole = Whole::read(&store, id).await;
        let other = place.another();
        whole.plant(&other.open().await, whole.journal.len() / 2).await;
        let engine = saga_tests::engine(&other, &World::default()).await;
        let result = if id == "limited" {
            engine.client().attach::<squares_limited>(id).await.unwrap().result().await.unwrap()
        } else {
            engine.client().attach::<squares_at_once>(id).await.unwrap().result().await.unwrap()
        };
        assert_eq!(result, sum_of_squares(), "{id}");
        engine.shutdown().await;
    }
}
