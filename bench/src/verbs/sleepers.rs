//! What a run costs that only waits: in the store alone, and in memory.

use std::time::Duration;

use saga_runtime::Client;
use tokio::process::Command;

use super::Common;
use crate::figures::{Figures, count};
use crate::load::each;
use crate::meter::{Meter, memory, processor_time};
use crate::place::Place;
use crate::work::{endless_wait, sleeper};

/// The most runs that wait in memory: fewer than an engine holds.
const IN_MEMORY: u64 = 9_000;

/// What `sleepers` takes.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Where, and how to print.
    #[command(flatten)]
    pub common: Common,
    /// Runs that sleep for hours.
    #[arg(default_value_t = 100_000)]
    runs: u64,
    /// Seconds for which the worker's idle costs are looked at.
    #[arg(long, default_value_t = 30)]
    idle: u64,
}

/// Measures.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let place = options.common.place().await?;
    let opened = place.open().await?;
    let engine = opened.engine().start().await?;
    let meter = Meter::new(&place, &opened).await?;
    // Caches and pools have their size after this.
    start(engine.client(), 2_000, Waits::ForHours).await?;
    settle(&meter).await?;

    let (before, begun) = (memory(), meter.read().await?);
    start(engine.client(), options.runs, Waits::ForHours).await?;
    settle(&meter).await?;
    let (suspended, written) = (memory(), meter.read().await?.since(&begun));
    // Before any run waits in memory: those have timers that are due now and then.
    let (begun, cpu) = (meter.read().await?, processor_time());
    tokio::time::sleep(Duration::from_secs(options.idle)).await;
    let (idle, cpu_used) = (meter.read().await?.since(&begun), processor_time().zip(cpu).map(|(now, then)| now - then));

    engine.shutdown().await;
    drop(opened);
    let alone = other(&place, "idle-worker").await?;
    let waiting = other(&place, "waiting-worker").await?;
    place.clear().await?;

    let mut figures =
        Figures::new(format!("{}: {} runs asleep, {IN_MEMORY} waiting in memory", place.kind(), options.runs));
    figures
        .add("memory_asleep", grown(before, suspended, options.runs), "bytes a run")
        .add("written_asleep", written.bytes.map(|bytes| bytes / count(options.runs)), "bytes a run, start and release")
        .add("memory_waiting", waiting, "bytes a run")
        .add("idle_cpu", cpu_used.map(|cpu| cpu / count(options.idle) * 100.0), "% of a core")
        .add("idle_statements", idle.statements.map(|sent| sent / count(options.idle) * 60.0), "a minute")
        .add("memory_of_a_worker", alone, "MiB, of a process that has only these runs")
        .add("peak_memory", crate::meter::peak_memory(), "MiB, the starts included");
    figures.print(options.common.json);
    Ok(())
}

/// What another process prints that has nothing else in memory.
async fn other(place: &Place, verb: &str) -> anyhow::Result<Option<f64>> {
    let output = Command::new(std::env::current_exe()?).arg(verb).args(place.arguments()).output().await?;
    anyhow::ensure!(output.status.success(), "`{verb}` did not do its work: {}", output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// A process that finds all runs asleep: it lives for ten heartbeats and prints its memory in MiB.
pub async fn idle_worker(common: Common) -> anyhow::Result<()> {
    let opened = common.place().await?.open().await?;
    let engine = opened.engine().start().await?;
    tokio::time::sleep(Duration::from_secs(30)).await;
    println!("{}", serde_json::to_string(&memory().map(|bytes| bytes / 1024.0 / 1024.0))?);
    engine.shutdown().await;
    Ok(())
}

/// A process with runs that wait in memory: it prints the bytes of each.
pub async fn waiting_worker(common: Common) -> anyhow::Result<()> {
    let place = common.place().await?;
    let opened = place.open().await?;
    let engine = opened.engine().start().await?;
    let meter = Meter::new(&place, &opened).await?;
    // Caches and pools have their size after this.
    start(engine.client(), 2_000, Waits::ForHours).await?;
    settle(&meter).await?;
    let before = memory();
    start(engine.client(), IN_MEMORY, Waits::InMemory).await?;
    settle(&meter).await?;
    println!("{}", serde_json::to_string(&grown(before, memory(), IN_MEMORY))?);
    engine.shutdown().await;
    Ok(())
}

/// By how many bytes the process has grown for each run.
fn grown(from: Option<f64>, to: Option<f64>, runs: u64) -> Option<f64> {
    Some((to? - from?) / count(runs))
}

#[derive(Clone, Copy)]
enum Waits {
    ForHours,
    InMemory,
}

async fn start(client: &Client, runs: u64, waits: Waits) -> anyhow::Result<()> {
    let client = client.clone();
    each(runs, 256, move |_| {
        let client = client.clone();
        async move {
            match waits {
                Waits::ForHours => client.start(sleeper(36_000)).await.map(drop)?,
                Waits::InMemory => client.start(endless_wait()).await.map(drop)?,
            }
            Ok(())
        }
    })
    .await
    .map(drop)
}

/// Waits until nothing more is committed.
async fn settle(meter: &Meter) -> anyhow::Result<()> {
    let mut last = meter.read().await?;
    loop {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let now = meter.read().await?;
        if now.since(&last).bytes.is_none_or(|bytes| bytes < 20_000.0) {
            return Ok(());
        }
        last = now;
    }
}
