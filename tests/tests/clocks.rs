//! Two workers whose machines' clocks are days apart.

use std::time::Duration;

use saga_runtime::prelude::*;
use saga_runtime::store::wire::Entry;
use saga_runtime::store::{Store, Timestamp};
use saga_tests::steps::{SagaError, pay, step};
use saga_tests::{Act, InPostgres, Place, World};

const DAY: Duration = Duration::from_secs(86_400);

#[workflow]
async fn naps_between_steps(name: String) -> Result<(), SagaError> {
    pay(format!("{name} first")).await?;
    sleep(Duration::from_millis(20)).await;
    step(format!("{name} second")).await?;
    Ok(())
}

async fn worker(place: &InPostgres, world: &World, clock: Timestamp) -> Engine {
    let beat = Duration::from_millis(500);
    let builder = Engine::builder(place.beside().await).state(world.clone()).machine_clock(clock);
    builder.heartbeat(beat, beat * 6).start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_that_are_days_apart_change_nothing() {
    let (place, world) = (InPostgres::default(), World::default());
    let store = place.beside().await;
    let truth = Timestamp::from_system_clock();
    let ahead = worker(&place, &world, truth.after(DAY)).await;
    let behind = worker(&place, &world, Timestamp::from_micros(truth.as_micros() - 86_400_000_000)).await;
    let mut runs = Vec::new();
    for number in 0..40 {
        let name = format!("{number}");
        world.plan(&format!("{name} second"), [Act::Refuse, Act::Lose]);
        let client = if number % 2 == 0 { ahead.client() } else { behind.client() };
        runs.push(client.start(naps_between_steps(name)).id(format!("R-{number}")).await.unwrap());
    }
    for run in &runs {
        run.result().await.unwrap();
    }
    // What was written says the server's time, whoever wrote it, and nobody was taken for dead.
    let latest = Timestamp::from_system_clock().after(Duration::from_secs(60));
    for number in 0..40 {
        let records = ahead.client().show(format!("R-{number}")).await.unwrap().records;
        assert!(records.is_sorted_by_key(saga_runtime::store::wire::Record::at), "R-{number} goes back in time");
        assert!(
            records.iter().all(|record| record.at() >= truth && record.at() < latest),
            "R-{number} is not of today"
        );
        let entries = records.iter().flat_map(|record| &record.entries);
        assert_eq!(entries.filter(|entry| matches!(entry, Entry::Claimed(_))).count(), 0);
    }

    // One is gone without a word: the other finds out by its own time, and goes on with its runs.
    world.plan("left first", [Act::Hang]);
    let left = ahead.client().start(naps_between_steps("left".to_owned())).id("left").await.unwrap();
    world.began("left first").await;
    drop((left, ahead));
    let found = behind.client().attach::<naps_between_steps>("left").await.unwrap();
    found.result().await.unwrap();
    assert_eq!(world.attempts("left first").len(), 2);
    assert!(store.next_wake().await.unwrap().is_none());
}
