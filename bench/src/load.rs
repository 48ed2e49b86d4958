//! Many runs at once through an engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use saga_runtime::Client;

use crate::work::{heavy_steps, steps};

/// What is run.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Load {
    /// Runs in all.
    #[arg(long, default_value_t = 10_000)]
    pub runs: u64,
    /// Runs at once.
    #[arg(long, default_value_t = 256)]
    pub concurrency: u64,
    /// Steps of each run.
    #[arg(long, default_value_t = 10)]
    pub steps: u32,
    /// Bytes that each step takes and returns; a number if not given.
    #[arg(long, default_value_t = 0)]
    pub payload: usize,
}

impl Load {
    /// All steps together.
    pub fn all_steps(&self) -> f64 {
        crate::figures::count(self.runs) * f64::from(self.steps)
    }

    /// Rows of all journals: one for the start, one for each decision and its outcome.
    pub fn all_rows(&self) -> f64 {
        crate::figures::count(self.runs) * f64::from(self.steps + 2)
    }

    /// A part of it, at least as many runs as are run at once.
    #[must_use]
    pub fn part(&self, of: u64) -> Self {
        Self { runs: (self.runs / of).max(self.concurrency), ..*self }
    }
}

/// How it went.
#[derive(Debug, Clone)]
pub struct Done {
    /// From the first start to the last end.
    pub took: Duration,
    /// How long each took; of a run, from before its start to the arrival of its result.
    pub times: Vec<Duration>,
}

/// Starts runs and waits for their results, so many at once.
pub async fn drive(client: &Client, load: Load) -> anyhow::Result<Done> {
    let payload: Arc<str> = "x".repeat(load.payload).into();
    let client = client.clone();
    each(load.runs, load.concurrency, move |_| {
        let (client, payload) = (client.clone(), Arc::clone(&payload));
        async move {
            if payload.is_empty() {
                client.start(steps(load.steps)).await?.result().await?;
            } else {
                client.start(heavy_steps(load.steps, payload.to_string())).await?.result().await?;
            }
            Ok(())
        }
    })
    .await
}

/// Does the same again and again with another number, so many at once.
pub async fn each<F, Fut>(times: u64, at_once: u64, one: F) -> anyhow::Result<Done>
where
    F: Fn(u64) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = anyhow::Result<()>> + Send,
{
    let (one, next, begun) = (Arc::new(one), Arc::new(AtomicU64::new(0)), Instant::now());
    let tasks: Vec<_> = (0..at_once.min(times))
        .map(|_| {
            let (one, next) = (Arc::clone(&one), Arc::clone(&next));
            tokio::spawn(async move {
                let mut took = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= times {
                        return anyhow::Ok(took);
                    }
                    let begun = Instant::now();
                    one(number).await?;
                    took.push(begun.elapsed());
                }
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    Ok(Done { took: begun.elapsed(), times })
}
