//! What a workflow can say besides calling activities.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use saga_runtime::prelude::*;
use saga_runtime::store::Store;
use saga_tests::steps::{SagaError, step};
use saga_tests::{Act, Place, StepError, World, engine, on_each_store};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Event)]
struct Line {
    number: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Event)]
struct Stop;

on_each_store!(
    sleeps_end_and_take_their_time_from_the_journal,
    values_that_are_never_the_same_twice_are_the_same_after_a_restart,
    a_recorded_side_effect_does_not_run_again,
    three_thousand_steps_run_beside_each_other,
    events_come_in_order_however_early_or_late,
    a_helper_can_borrow_and_await,
    awaits_inside_macros_are_durable,
);

async fn sleeps_end_and_take_their_time_from_the_journal(place: impl Place) {
    #[workflow]
    async fn sleeps() -> Result<bool, SagaError> {
        let begun = now();
        sleep(Duration::from_millis(5)).await;
        let slept = now();
        sleep_until(slept).await;
        step("between".to_owned()).await?;
        Ok(slept.since(begun) >= Duration::from_millis(5))
    }
    let engine = engine(&place, &World::default()).await;
    assert!(engine.client().start(sleeps()).await.unwrap().result().await.unwrap());
}

#[workflow]
async fn gathers_values() -> Result<(String, String), SagaError> {
    let values = format!("{:?} {} {}", now(), random::<u64>(), new_uuid());
    let said = step(values.clone()).await?;
    step("hold".to_owned()).await?;
    Ok((values, said))
}

async fn values_that_are_never_the_same_twice_are_the_same_after_a_restart(place: impl Place) {
    let world = World::default();
    world.plan("hold", [Act::Hang]);
    let first = engine(&place, &world).await;
    first.client().start(gathers_values()).id("A").await.unwrap();
    world.began("hold").await;
    drop(first);
    let second = engine(&place, &world).await;
    let run = second.client().attach::<gathers_values>("A").await.unwrap();
    let (now, before) = run.result().await.unwrap();
    assert_eq!(before, format!("{now}!"));
    let other = second.client().start(gathers_values()).id("B").await.unwrap().result().await.unwrap();
    assert_ne!(other.0, now);
}

static CLOSURES: AtomicU32 = AtomicU32::new(0);

#[workflow]
async fn has_a_side_effect(times: u32) -> Result<u32, SagaError> {
    let count = side_effect(|| CLOSURES.fetch_add(1, Ordering::SeqCst)).await;
    for _ in 0..times {
        step("hold the effect".to_owned()).await?;
    }
    Ok(count)
}

async fn a_recorded_side_effect_does_not_run_again(place: impl Place) {
    let world = World::default();
    world.plan("hold the effect", [Act::Hang, Act::Hang]);
    let mut current = engine(&place, &world).await;
    current.client().start(has_a_side_effect(1)).id("A").await.unwrap();
    let mut given = None;
    for _ in 0..2 {
        world.began("hold the effect").await;
        given = given.or(values(&current).await);
        drop(current);
        current = engine(&place, &world).await;
    }
    let run = current.client().attach::<has_a_side_effect>("A").await.unwrap();
    assert_eq!(Some(run.result().await.unwrap()), given);
}

/// The value that the journal of run A holds.
async fn values(engine: &Engine) -> Option<u32> {
    crate::journal::entries(engine.client(), "A").await.into_iter().find_map(|entry| match entry {
        saga_store::wire::Entry::Value(value) => serde_json::from_slice(value.value.inline()?).ok(),
        _ => None,
    })
}

#[activity]
async fn square(number: u64, remark: String) -> Result<u64, StepError> {
    drop(remark);
    Ok(number * number)
}

#[workflow]
async fn squares(count: u64) -> Result<u64, SagaError> {
    let all = join_all((0..count).map(|number| square(number, "a remark ".repeat(10)))).await;
    let mut sum = 0;
    for square in all {
        sum += square?;
    }
    Ok(sum)
}

async fn three_thousand_steps_run_beside_each_other(place: impl Place) {
    let engine = engine(&place, &World::default()).await;
    let run = engine.client().start(squares(3000)).id("A").await.unwrap();
    assert_eq!(run.result().await.unwrap(), (0..3000).map(|number| number * number).sum::<u64>());
    let execution = run.execution();
    drop((run, engine));
    let journal = place.beside().await.load(&[execution]).await.unwrap().remove(0).journal;
    assert!(journal.iter().any(|row| row.more), "the record that schedules them all goes on in further rows");
    assert!(journal.iter().all(|row| row.body.len() <= 256 * 1024));
}

#[workflow]
async fn reads_lines(count: u32) -> Result<Vec<u32>, SagaError> {
    step("before".to_owned()).await?;
    let mut numbers = Vec::new();
    for _ in 0..count {
        numbers.push(event::<Line>().await.number);
    }
    event::<Stop>().await;
    Ok(numbers)
}

async fn events_come_in_order_however_early_or_late(place: impl Place) {
    let world = World::default();
    world.plan("before", [Act::Wait]);
    let engine = engine(&place, &world).await;
    let run = engine.client().start(reads_lines(6)).id("A").await.unwrap();
    run.send(Stop).await.unwrap();
    for number in 0..3 {
        run.send(Line { number }).await.unwrap();
    }
    world.open("before");
    for number in 3..6 {
        run.send(Line { number }).await.unwrap();
    }
    assert_eq!(run.result().await.unwrap(), [0, 1, 2, 3, 4, 5]);
    assert_eq!(run.send(Stop).await.unwrap_err().to_string(), "run A has ended");
}

#[durable]
async fn adds(numbers: &mut Vec<String>, name: &str) -> Result<(), SagaError> {
    numbers.push(step(name.to_owned()).await?);
    Ok(())
}

async fn a_helper_can_borrow_and_await(place: impl Place) {
    #[workflow]
    async fn uses_a_helper() -> Result<Vec<String>, SagaError> {
        let mut names = Vec::new();
        adds(&mut names, "one").await?;
        adds(&mut names, "two").await?;
        Ok(names)
    }
    let engine = engine(&place, &World::default()).await;
    let run = engine.client().start(uses_a_helper()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), ["one!", "two!"]);
}

async fn awaits_inside_macros_are_durable(place: impl Place) {
    #[workflow]
    async fn awaits_in_macros() -> Result<String, SagaError> {
        let mut both = vec![step("one".to_owned()).await?, step("two".to_owned()).await?];
        both.push(format!("{}?", step("three".to_owned()).await?));
        Ok(both.join(" "))
    }
    let engine = engine(&place, &World::default()).await;
    let run = engine.client().start(awaits_in_macros()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "one! two! three!?");
}
