//! Starts: how many a second, by clients that wait for each to be durable.

use super::Common;
use crate::figures::{Figures, count, millis, percentile};
use crate::load::each;
use crate::meter::Meter;
use crate::work::sleeper;

/// What `start` takes.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Where, and how to print.
    #[command(flatten)]
    pub common: Common,
    /// Starts in all.
    #[arg(long, default_value_t = 20_000)]
    runs: u64,
    /// Starts at once.
    #[arg(long, default_value_t = 64)]
    concurrency: u64,
}

/// Measures. No worker takes the runs up: the starts alone are counted.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let place = options.common.place().await?;
    let opened = place.open().await?;
    let meter = Meter::new(&place, &opened).await?;
    let client = opened.client();
    let before = meter.read().await?;
    let done = each(options.runs, options.concurrency, move |number| {
        let client = client.clone();
        async move { Ok(client.start(sleeper(3600)).id(format!("START-{number}")).await.map(drop)?) }
    })
    .await?;
    let (seconds, mut times) = (done.took.as_secs_f64(), done.times);
    let used = meter.read().await?.since(&before);
    place.clear().await?;
    let starts = count(options.runs);
    let mut figures = Figures::new(format!("{}: {starts} starts, {} at once", place.kind(), options.concurrency));
    figures
        .add("starts_per_second", starts / seconds, "")
        .add("p50", millis(percentile(&mut times, 0.5)), "ms a start")
        .add("p99", millis(percentile(&mut times, 0.99)), "ms a start")
        .add("bytes_per_start", used.bytes.map(|bytes| bytes / starts), "bytes written")
        .add("client_cpu_per_start", used.client_cpu.map(|cpu| cpu / starts * 1e6), "µs")
        .add("server_cpu_per_start", used.server_cpu.map(|cpu| cpu / starts * 1e6), "µs");
    figures.print(options.common.json);
    Ok(())
}
