//! Many timers that are due at one moment, most of them of runs that have left memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use saga_store::Timestamp;

use super::Common;
use crate::figures::{Figures, count};
use crate::work::{RANG, alarm};

/// What `timers` takes.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Where, and how to print.
    #[command(flatten)]
    pub common: Common,
    /// Timers.
    #[arg(default_value_t = 100_000)]
    timers: u64,
    /// Seconds from now until they are due; the runs must all have started by then. From a minute
    /// on they leave memory meanwhile.
    #[arg(long, default_value_t = 120)]
    lead: u64,
}

/// Measures.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let place = options.common.place().await?;
    let opened = place.open().await?;
    let engine = opened.engine().start().await?;
    let due = Timestamp::from_system_clock().after(Duration::from_secs(options.lead));
    let due_here = Instant::now() + Duration::from_secs(options.lead);
    let begun = Instant::now();
    let next = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..256)
        .map(|_| {
            let (client, next) = (engine.client().clone(), Arc::clone(&next));
            tokio::spawn(async move {
                while next.fetch_add(1, Ordering::Relaxed) < options.timers {
                    client.start(alarm(due.as_micros())).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    let started = begun.elapsed();
    anyhow::ensure!(Instant::now() < due_here, "the starts took {started:?}; give more --lead");
    RANG.subscribe().wait_for(|rang| *rang >= options.timers).await?;
    let all = Instant::now().saturating_duration_since(due_here);
    engine.shutdown().await;
    place.clear().await?;
    let mut figures = Figures::new(format!("{}: {} timers due at once", place.kind(), options.timers));
    figures
        .add("starts_per_second", count(options.timers) / started.as_secs_f64(), "")
        .add("all_fired_after", all.as_secs_f64(), "s from when they were due")
        .add("fired_per_second", count(options.timers) / all.as_secs_f64(), "")
        .add("peak_memory", crate::meter::peak_memory(), "MiB");
    figures.print(options.common.json);
    Ok(())
}
