//! The no-op workload of `saga-bench` on other durable execution crates:
//! `saga-rivals dbos|durare|durare-ledger|duroxide URL RUNS CONCURRENCY STEPS` prints steps per second and the
//! median of a run in milliseconds.
//!
//! Each is used as its own documentation shows it, in a process of its own, against the server or
//! file that it is given.

mod with_dbos;
mod with_durare;
mod with_duroxide;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;

/// What is run.
#[derive(Clone)]
pub struct Load {
    url: String,
    runs: u64,
    concurrency: u64,
    steps: u32,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [rival, url, runs, concurrency, steps] = &arguments[..] else {
        anyhow::bail!("usage: saga-rivals dbos|durare|durare-ledger|duroxide URL RUNS CONCURRENCY STEPS");
    };
    let load = Load {
        url: url.clone(),
        runs: runs.parse()?,
        concurrency: concurrency.parse()?,
        steps: steps.parse()?,
    };
    match &rival[..] {
        "dbos" => with_dbos::run(load).await,
        "durare" => with_durare::run(load).await,
        "durare-ledger" => with_durare::ledger(load).await,
        "duroxide" => with_duroxide::run(load).await,
        other => anyhow::bail!("there is no rival `{other}`"),
    }
}

/// Runs `one` again and again, so many at once, and prints how it went. It is given the number
/// of the run.
async fn drive<F, Fut>(load: &Load, one: F) -> anyhow::Result<()>
where
    F: Fn(u64) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = anyhow::Result<()>> + Send,
{
    let one = Arc::new(one);
    for number in 0..20 {
        one(1_000_000_000 + number).await?;
    }
    let next = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let tasks: Vec<_> = (0..load.concurrency)
        .map(|_| {
            let (one, next, runs) = (Arc::clone(&one), Arc::clone(&next), load.runs);
            tokio::spawn(async move {
                let mut times = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= runs {
                        return anyhow::Ok(times);
                    }
                    let begun = Instant::now();
                    one(number).await?;
                    times.push(begun.elapsed());
                }
            })
        })
        .collect();
    let mut times: Vec<Duration> = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    let seconds = begun.elapsed().as_secs_f64();
    times.sort_unstable();
    let median = times.get(times.len() / 2).context("no run was made")?.as_secs_f64() * 1e3;
    let steps = load.runs as f64 * f64::from(load.steps) / seconds;
    println!("{}", serde_json::json!({ "steps_per_second": steps, "p50": median }));
    Ok(())
}
