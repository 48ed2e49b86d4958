//! No-op steps through the engine.

use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use super::Common;
use crate::figures::{Figures, count, millis, percentile};
use crate::load::{Load, drive};
use crate::meter::Meter;
use crate::place::Place;

/// What `run` takes.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Where, and how to print.
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    load: Load,
    /// Worker processes, which share the runs; this one does all the work if there is one.
    #[arg(long, default_value_t = 1)]
    workers: u64,
    /// Measures the limit beside it, turn by turn, and prints the ratio.
    #[arg(long)]
    compare: bool,
}

/// Measures.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let place = options.common.place().await?;
    if options.workers > 1 {
        anyhow::ensure!(!options.compare, "--compare measures one worker; leave out --workers");
        let shares = matches!(place, Place::Postgres { .. });
        anyhow::ensure!(shares, "a file has one engine: --workers needs a store on a server");
    }
    let figures = if options.compare {
        super::compare::measure(&place, options.load).await
    } else if options.workers > 1 {
        processes(&place, options.load, options.workers).await
    } else {
        measure(&place, options.load).await
    };
    place.clear().await?;
    figures?.print(options.common.json);
    Ok(())
}

/// In this process.
pub async fn measure(place: &Place, load: Load) -> anyhow::Result<Figures> {
    let opened = place.open().await?;
    let engine = opened.engine().start().await?;
    let meter = Meter::new(place, &opened).await?;
    drive(engine.client(), load.part(20)).await?;
    let before = meter.read().await?;
    let mut done = drive(engine.client(), load).await?;
    let used = meter.read().await?.since(&before);
    engine.shutdown().await;
    let mut figures = titled(place, load, 1);
    add_times(&mut figures, load, done.took, &mut done.times);
    used.add_to(&mut figures, load.all_steps(), load.all_rows());
    Ok(figures)
}

pub(super) fn titled(place: &Place, load: Load, workers: u64) -> Figures {
    let Load { runs, concurrency, steps, payload } = load;
    let payload = if payload == 0 { String::new() } else { format!(" of {payload} bytes") };
    let workers = if workers == 1 { String::new() } else { format!(", {workers} worker processes") };
    Figures::new(format!("{}: {runs} runs of {steps} steps{payload}, {concurrency} at once{workers}", place.kind()))
}

pub(super) fn add_times(figures: &mut Figures, load: Load, took: Duration, times: &mut [Duration]) {
    let seconds = took.as_secs_f64();
    figures
        .add("steps_per_second", load.all_steps() / seconds, "")
        .add("runs_per_second", count(load.runs) / seconds, "")
        .add("p50", millis(percentile(times, 0.5)), "ms a run")
        .add("p95", millis(percentile(times, 0.95)), "ms a run")
        .add("p99", millis(percentile(times, 0.99)), "ms a run");
}

/// In several processes, which begin at the same moment.
pub(super) async fn processes(place: &Place, load: Load, workers: u64) -> anyhow::Result<Figures> {
    let opened = place.open().await?;
    let meter = Meter::new(place, &opened).await?;
    let share = |all: u64, number: u64| all / workers + u64::from(number < all % workers);
    let mut children = Vec::new();
    for number in 0..workers {
        let load = Load { runs: share(load.runs, number), concurrency: share(load.concurrency, number).max(1), ..load };
        children.push(Worker::spawn(place, load).await?);
    }
    let before = meter.read().await?;
    let begun = std::time::Instant::now();
    for child in &mut children {
        child.go().await?;
    }
    let (mut times, mut cpu, mut memory) = (Vec::new(), 0.0, 0.0_f64);
    for child in &mut children {
        let done = child.done().await?;
        times.extend(done.times.into_iter().map(Duration::from_micros));
        cpu += done.cpu;
        memory = memory.max(done.peak_memory);
    }
    // The last has ended its work by now; that they leave the store is not counted.
    let took = begun.elapsed();
    let mut used = meter.read().await?.since(&before);
    used.client_cpu = Some(cpu);
    let mut figures = titled(place, load, workers);
    add_times(&mut figures, load, took, &mut times);
    used.add_to(&mut figures, load.all_steps(), load.all_rows());
    figures.add("peak_memory_of_a_worker", memory, "MiB");
    for child in children {
        child.end().await?;
    }
    Ok(figures)
}

/// What a worker process prints when all is done.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct WorkerDone {
    /// Microseconds of each run.
    times: Vec<u64>,
    /// Processor seconds.
    cpu: f64,
    /// MiB.
    peak_memory: f64,
}

/// A worker process: it says `ready`, waits for a line, works, and prints how long each run took.
struct Worker {
    child: Child,
    lines: tokio::io::Lines<BufReader<ChildStdout>>,
}

impl Worker {
    async fn spawn(place: &Place, load: Load) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("worker")
            .args(place.arguments())
            .args(["--runs", &load.runs.to_string(), "--concurrency", &load.concurrency.to_string()])
            .args(["--steps", &load.steps.to_string(), "--payload", &load.payload.to_string()])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = child.stdout.take().context("its output is a pipe")?;
        let mut worker = Self { child, lines: BufReader::new(output).lines() };
        anyhow::ensure!(worker.line().await? == "ready", "a worker did not start");
        Ok(worker)
    }

    async fn go(&mut self) -> anyhow::Result<()> {
        let input = self.child.stdin.as_mut().context("its input is a pipe")?;
        input.write_all(b"go\n").await?;
        Ok(input.flush().await?)
    }

    async fn line(&mut self) -> anyhow::Result<String> {
        self.lines.next_line().await?.context("a worker has ended")
    }

    async fn done(&mut self) -> anyhow::Result<WorkerDone> {
        Ok(serde_json::from_str(&self.line().await?)?)
    }

    async fn end(mut self) -> anyhow::Result<()> {
        let status = self.child.wait().await?;
        anyhow::ensure!(status.success(), "a worker failed: {status}");
        Ok(())
    }
}

/// The other end of `Worker`.
pub async fn worker(options: Options) -> anyhow::Result<()> {
    let place = options.common.place().await?;
    let opened = place.open().await?;
    let engine = opened.engine().start().await?;
    drive(engine.client(), options.load.part(20)).await?;
    println!("ready");
    let mut line = String::new();
    BufReader::new(tokio::io::stdin()).read_line(&mut line).await?;
    let before = crate::meter::processor_time();
    let done = drive(engine.client(), options.load).await?;
    let cpu = crate::meter::processor_time().zip(before).map_or(0.0, |(now, before)| now - before);
    let times = done.times.iter().map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX)).collect();
    let peak_memory = crate::meter::peak_memory().unwrap_or_default();
    println!("{}", serde_json::to_string(&WorkerDone { times, cpu, peak_memory })?);
    engine.shutdown().await;
    Ok(())
}
