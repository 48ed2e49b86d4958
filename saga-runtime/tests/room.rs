//! A worker that is as full as it may be asks for runs only if it was short of room for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use saga_runtime::Result;
use saga_runtime::prelude::*;
use saga_runtime::store::{Claim, ClaimedRun, Store, StoreError};

/// Nothing is looked for by itself.
const NEVER: Duration = Duration::from_secs(3600);

#[activity]
async fn add_one(number: u64) -> Result<u64> {
    Ok(number + 1)
}

#[workflow]
async fn one_more(number: u64) -> Result<u64> {
    Ok(add_one(number).await?)
}

/// Counts claims.
#[derive(Clone)]
struct Counting {
    inner: MemoryStore,
    claims: Arc<AtomicUsize>,
}

impl Store for Counting {
    async fn claim(&self, request: &Claim) -> std::result::Result<Vec<ClaimedRun>, StoreError> {
        self.claims.fetch_add(1, Ordering::Relaxed);
        self.inner.claim(request).await
    }

    saga_store::forward! {
        kind commit_lanes join beat leave start commit transact start_within tell deliver adopt reconcile
        next_wake load inbox outbox forget blobs hints get get_execution ended list purge purge_these
    }
}

/// All that can go on has had its turn, on one thread.
async fn all_have_had_their_turn() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_end_of_a_run_is_no_reason_for_a_full_worker_to_claim() {
    let store = Counting { inner: MemoryStore::new(), claims: Arc::default() };
    let claims = Arc::clone(&store.claims);
    let engine = Engine::builder(store).max_runs(1).slow_poll(NEVER).start().await.unwrap();
    all_have_had_their_turn().await;
    let before = claims.load(Ordering::Relaxed);
    assert!(before > 0, "it asks when it begins");
    for number in 0..20 {
        let run = engine.client().start(one_more(number)).await.unwrap();
        assert_eq!(run.result().await.unwrap(), number + 1);
        all_have_had_their_turn().await;
    }
    assert_eq!(claims.load(Ordering::Relaxed), before);
    engine.shutdown().await;
}

#[tokio::test]
async fn what_found_no_room_is_claimed_one_after_the_other() {
    let store = Counting { inner: MemoryStore::new(), claims: Arc::default() };
    let client = Client::new(store.clone());
    let mut runs = Vec::new();
    for number in 0..20 {
        runs.push((number, client.start(one_more(number)).await.unwrap()));
    }
    let engine = Engine::builder(store).max_runs(1).slow_poll(NEVER).start().await.unwrap();
    for (number, run) in runs {
        assert_eq!(run.result().await.unwrap(), number + 1);
    }
    engine.shutdown().await;
}
