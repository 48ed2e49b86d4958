//! Transactional steps: each reads, increments and writes one of 1,000 rows in the transaction
//! that records it.

mod file;
mod server;

use super::Common;
use crate::figures::{Figures, count, millis, percentile};
use crate::load::Done;
use crate::place::Place;

const ACCOUNTS: u64 = 1_000;

/// Steps of a run.
const STEPS: u64 = 10;

/// What `ledger` takes.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Where, and how to print.
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    load: Load,
}

/// What is run.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Load {
    /// Runs in all, of ten steps each.
    #[arg(long, default_value_t = 2_000)]
    pub runs: u64,
    /// Runs at once.
    #[arg(long, default_value_t = 64)]
    pub concurrency: u64,
    /// Sessions for transactions, of a store on a server.
    #[arg(long, default_value_t = 16)]
    pub sessions: usize,
}

impl Load {
    fn steps(&self) -> u64 {
        self.runs * STEPS
    }
}

/// Measures, and checks that each step was counted exactly once.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let place = options.common.place().await?;
    let figures = measure(&place, options.load).await;
    place.clear().await?;
    figures?.print(options.common.json);
    Ok(())
}

/// On a server, beside as many raw transactions.
pub async fn measure(place: &Place, load: Load) -> anyhow::Result<Figures> {
    match place {
        Place::Sqlite { .. } => file::measure(place, load).await,
        Place::Postgres { .. } => server::measure(place, load).await,
    }
}

fn titled(place: &Place, load: Load, done: &mut Done) -> Figures {
    let title = format!("{}: {} transactional steps, {} runs at once", place.kind(), load.steps(), load.concurrency);
    let mut figures = Figures::new(title);
    figures.add("steps_per_second", count(load.steps()) / done.took.as_secs_f64(), "each exactly once").add(
        "p50",
        millis(percentile(&mut done.times, 0.5)),
        "ms a run of ten steps",
    );
    figures
}

/// The row of a step.
fn account(first: u64, step: u64) -> i64 {
    ((first + step * 37) % ACCOUNTS).cast_signed()
}

fn check(load: Load, sum: i64) -> anyhow::Result<()> {
    let steps = load.steps();
    anyhow::ensure!(sum.cast_unsigned() == steps, "{steps} steps were made, the rows count {sum}");
    Ok(())
}
