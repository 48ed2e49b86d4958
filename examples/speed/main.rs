//! How fast no-op steps are on the embedded store: a run alone, and many at once.
//!
//! Run it: `cargo run --release --bin speed -- [--runs N] [--concurrency N] [--steps N]`

use std::time::{Duration, Instant};

use clap::Parser;
use futures_util::stream::{self, StreamExt};
use saga_runtime::prelude::*;
use saga_sqlite::SqliteStore;

#[derive(Parser)]
struct Options {
    /// Runs at once.
    #[arg(long, default_value_t = 256)]
    concurrency: usize,
    /// Runs in all.
    #[arg(long, default_value_t = 10_000)]
    runs: u64,
    /// Steps a run.
    #[arg(long, default_value_t = 10)]
    steps: u32,
    /// The store's file; a temporary one beside the working directory if not given.
    #[arg(long)]
    store: Option<std::path::PathBuf>,
}

/// A step that does nothing.
#[activity]
async fn nothing(number: u32) -> saga_runtime::Result<u32> {
    Ok(number)
}

/// So many steps, one after another.
#[workflow]
async fn steps(count: u32) -> saga_runtime::Result<u32> {
    let mut sum = 0;
    for number in 0..count {
        sum += nothing(number).await?;
    }
    Ok(sum)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let directory = tempfile::tempdir_in(".")?;
    let path = options.store.clone().unwrap_or_else(|| directory.path().join("speed.db"));
    let store = SqliteStore::open(&path).await?;
    let engine = Engine::builder(store.clone()).only::<steps>().start().await?;

    let mut alone = Vec::new();
    for _ in 0..200 {
        alone.push(run(&engine, options.steps).await?);
    }
    alone.sort_unstable();
    println!(
        "alone: a run of {} steps takes {:?} (median of {}), p99 {:?}",
        options.steps,
        alone[alone.len() / 2],
        alone.len(),
        alone[alone.len() * 99 / 100]
    );

    let begun = Instant::now();
    let mut together: Vec<Duration> = stream::iter(0..options.runs)
        .map(|_| run(&engine, options.steps))
        .buffer_unordered(options.concurrency)
        .collect::<Vec<_>>()
        .await
        .into_iter()
        .collect::<anyhow::Result<_>>()?;
    let seconds = begun.elapsed().as_secs_f64();
    together.sort_unstable();
    #[allow(clippy::cast_precision_loss, reason = "a figure to read")]
    let steps = options.runs as f64 * f64::from(options.steps) / seconds;
    println!(
        "{} at once: {steps:.0} steps/s, a run takes {:?} (median), p99 {:?}; {} runs in {seconds:.2} s",
        options.concurrency,
        together[together.len() / 2],
        together[together.len() * 99 / 100],
        options.runs,
    );
    println!("store: {:?}", store.db().stats());
    engine.shutdown().await;
    Ok(())
}

async fn run(engine: &Engine, count: u32) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    engine.client().start(steps(count)).await?.result().await?;
    Ok(begun.elapsed())
}
