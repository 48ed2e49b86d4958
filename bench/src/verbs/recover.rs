//! How long it takes to take over the live runs of a worker that was killed.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use super::Common;
use crate::figures::{Figures, count};
use crate::place::{Opened, Place};
use crate::work::{ENDLESS, halfway};

/// A short lease: what is measured is what comes after it.
const BEAT: Duration = Duration::from_millis(300);
const LEASE: Duration = Duration::from_millis(1_200);

/// What `recover` takes.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Where, and how to print.
    #[command(flatten)]
    pub common: Common,
    /// Live runs.
    #[arg(default_value_t = 5_000)]
    runs: u64,
    /// Steps that each has made.
    #[arg(long, default_value_t = 10)]
    steps: u32,
}

/// Measures.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let place = options.common.place().await?;
    let mut child = Command::new(std::env::current_exe()?)
        .args(["recover-worker", &options.runs.to_string(), "--steps", &options.steps.to_string()])
        .args(place.arguments())
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("its output is a pipe")?).lines();
    anyhow::ensure!(lines.next_line().await?.is_some_and(|line| line == "ready"), "the worker did not start");
    child.kill().await?;
    let killed = Instant::now();
    let engine = place.open().await?.engine().heartbeat(BEAT, LEASE).max_runs(1_000_000).start().await?;
    let mut begun = ENDLESS.subscribe();
    begun.wait_for(|begun| *begun > 0).await?;
    let first = killed.elapsed();
    begun.wait_for(|begun| *begun >= options.runs).await?;
    let all = killed.elapsed();
    // Its attempts never end: they are dropped, as at the end of a process.
    drop(engine);
    place.clear().await?;
    let mut figures = Figures::new(format!(
        "{}: {} live runs of {} steps, their worker killed",
        place.kind(),
        options.runs,
        options.steps
    ));
    let taking = all.saturating_sub(first).as_secs_f64();
    figures
        .add("first_run_after", first.as_secs_f64(), "s from the kill; on a server the lease of 1.2 s included")
        .add("all_runs_after", all.as_secs_f64(), "s from the kill")
        .add("runs_per_second", count(options.runs) / taking, "from the first to the last")
        .add("entries_per_second", count(options.runs) * f64::from(2 * options.steps + 2) / taking, "")
        .add("peak_memory", crate::meter::peak_memory(), "MiB");
    figures.print(options.common.json);
    Ok(())
}

/// The process that is killed.
pub async fn worker(options: Options) -> anyhow::Result<()> {
    let place: Place = options.common.place().await?;
    let opened: Opened = place.open().await?;
    let engine = opened.engine().heartbeat(BEAT, LEASE).max_runs(1_000_000).start().await?;
    let tasks: Vec<_> = (0..64)
        .map(|lane| {
            let client = engine.client().clone();
            tokio::spawn(async move {
                for _ in (lane..options.runs).step_by(64) {
                    client.start(halfway(options.steps)).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    ENDLESS.subscribe().wait_for(|begun| *begun >= options.runs).await?;
    println!("ready");
    std::future::pending().await
}
