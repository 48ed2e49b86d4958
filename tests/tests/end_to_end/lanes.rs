//! One lane's crowd is not another lane's wait.

use saga_runtime::prelude::*;
use saga_runtime::{Client, Engine};
use saga_tests::steps::{SagaError, step};
use saga_tests::{Place, World, on_each_store};

#[workflow]
async fn of_a_lane(name: String) -> Result<String, SagaError> {
    Ok(step(name).await?)
}

on_each_store!(a_lane_with_ten_thousand_starts_does_not_keep_another_waiting);

async fn a_lane_with_ten_thousand_starts_does_not_keep_another_waiting(place: impl Place) {
    let world = World::default();
    let store = place.open().await;
    let client = Client::new(store.clone());
    let start = |name: &str| client.start(of_a_lane(name.to_owned())).lane(name).into_future();
    futures_util::future::try_join_all((0..10_000).map(|_| start("loud"))).await.unwrap();
    let quiet = futures_util::future::try_join_all((0..5).map(|_| start("quiet"))).await.unwrap();
    let engine = Engine::builder(store).state(world.clone()).max_runs(8).start().await.unwrap();
    for run in quiet {
        assert_eq!(run.result().await.unwrap(), "quiet!");
    }
    let begun = world.log();
    let last = begun.iter().rposition(|name| name == "quiet").unwrap();
    // One of each lane in turn, in portions of what there is room for.
    assert!(last < 40, "{last} attempts began before the last one of the quiet lane");
    drop(engine);
}
