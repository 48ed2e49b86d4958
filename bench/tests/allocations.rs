//! Allocations of one step, counted: they need no quiet machine.

use std::alloc::System;

use saga_bench::work::{fan, steps};
use saga_runtime::{Engine, MemoryStore};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Allocations and bytes of a run of so many steps, from its start to its result.
async fn of_run(engine: &Engine, count: u32) -> (usize, usize) {
    let region = Region::new(ALLOCATOR);
    engine.client().start(steps(count)).await.unwrap().result().await.unwrap();
    let change = region.change();
    (change.allocations + change.reallocations, change.bytes_allocated)
}

async fn of_fan(engine: &Engine, count: u32) -> (usize, usize) {
    let region = Region::new(ALLOCATOR);
    engine.client().start(fan(count)).await.unwrap().result().await.unwrap();
    let change = region.change();
    (change.allocations + change.reallocations, change.bytes_allocated)
}

/// One test, since what another one allocates at the same time would be counted.
#[tokio::test(flavor = "current_thread")]
async fn a_step_allocates_little_and_no_more_when_there_are_many() {
    let engine = Engine::builder(MemoryStore::new()).only::<steps>().only::<fan>().start().await.unwrap();
    of_run(&engine, 100).await;
    of_fan(&engine, 100).await;

    let (short, short_bytes) = of_run(&engine, 500).await;
    let (long, long_bytes) = of_run(&engine, 1_500).await;
    let (each, bytes) = ((long - short) / 1_000, (long_bytes - short_bytes) / 1_000);
    println!("a step: {each} allocations, {bytes} bytes");

    let (few, few_bytes) = of_fan(&engine, 100).await;
    let (many, many_bytes) = of_fan(&engine, 1_100).await;
    let (each_at_once, bytes_at_once) = ((many - few) / 1_000, (many_bytes - few_bytes) / 1_000);
    println!("a step among a thousand: {each_at_once} allocations, {bytes_at_once} bytes");

    engine.shutdown().await;
    assert!(each <= 16, "{each}");
    assert!(each_at_once <= 13, "{each_at_once}");
}
