//! How fast no-op steps are on the embedded store: a run alone, and many at once.
//!
//! Run it: `cargo run --release --bin speed -- [--runs N] [--concurrency N] [--steps N]`

use std::path::Path;
use std::time::{Duration, Instant};

use clap::Parser;
use futures_util::stream::{self, StreamExt};
use saga_runtime::prelude::*;
use saga_sqlite::SqliteStore;
use saga_sqlite::rusqlite::Connection;

/// Runs that are measured alone.
const ALONE: usize = 300;

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
    // The log has its size by now: a file that still grows makes each commit slower.
    let mut alone = Vec::new();
    for _ in 0..ALONE {
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

    let limit = limit(directory.path(), options.steps + 2)?;
    println!(
        "limit: {} commits of one row each, with no engine, take {limit:?} (median); alone is {:.2} times that",
        options.steps + 2,
        alone[alone.len() / 2].as_secs_f64() / limit.as_secs_f64()
    );
    println!("store: {:?}", store.db().stats());
    engine.shutdown().await;
    Ok(())
}

/// The physical limit: as many one-row commits as a run needs, on one connection.
fn limit(directory: &Path, commits: u32) -> anyhow::Result<Duration> {
    let connection = Connection::open(directory.join("limit.db"))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch("CREATE TABLE journal (row INTEGER PRIMARY KEY, body BLOB)")?;
    let mut insert = connection.prepare("INSERT INTO journal (body) VALUES (?1)")?;
    let mut took = Vec::new();
    // The first half brings the log to its size.
    for _ in 0..2 * ALONE {
        let begun = Instant::now();
        for _ in 0..commits {
            insert.execute([[0_u8; 150]])?;
        }
        took.push(begun.elapsed());
    }
    let mut took = took.split_off(ALONE);
    took.sort_unstable();
    Ok(took[took.len() / 2])
}

async fn run(engine: &Engine, count: u32) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    engine.client().start(steps(count)).await?.result().await?;
    Ok(begun.elapsed())
}
