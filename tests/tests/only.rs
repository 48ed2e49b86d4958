//! An engine that drives some of the linked workflows only.

use saga_runtime::Client;
use saga_runtime::prelude::*;
use saga_runtime::store::RunState;

struct Gateway;

#[activity]
async fn charge(#[state] _gateway: &Gateway) -> Result<u32, saga_runtime::Error> {
    Ok(4)
}

#[workflow]
async fn charges() -> Result<u32, saga_runtime::Error> {
    Ok(charge().await?)
}

#[workflow]
async fn counts() -> Result<u32, saga_runtime::Error> {
    Ok(7)
}

#[tokio::test]
async fn an_engine_for_one_workflow_needs_only_its_state_and_leaves_the_others() {
    let store = MemoryStore::new();
    let all = Engine::builder(store.clone()).start().await.unwrap_err();
    assert!(all.to_string().contains("state of type `only::Gateway`"), "{all}");
    let client = Client::new(store.clone());
    let left = client.start(charges()).id("left").await.unwrap();
    let engine = Engine::builder(store.clone()).only::<counts>().start().await.unwrap();
    let run = engine.client().start(counts()).id("driven").await.unwrap();
    assert_eq!(run.result().await.unwrap(), 7);
    let also_left = engine.client().start(charges()).id("also left").await.unwrap();
    for run in [&left, &also_left] {
        assert_eq!(run.view().await.unwrap().state, RunState::Pending);
    }
    let other = Engine::builder(store).state(Gateway).start().await.unwrap();
    assert_eq!(left.result().await.unwrap(), 4);
    assert_eq!(also_left.result().await.unwrap(), 4);
    drop((engine, other));
}
