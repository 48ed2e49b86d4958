//! What a step costs late in a long history: it must be what it cost at its beginning.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use saga_runtime::prelude::*;

use super::Common;
use crate::figures::{Figures, percentile};
use crate::place::Place;

/// What `history` takes.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Where, and how to print.
    #[command(flatten)]
    pub common: Common,
    /// Steps of the one run.
    #[arg(default_value_t = 10_000)]
    steps: u32,
}

/// When each step was made.
static MOMENTS: Mutex<Vec<Instant>> = Mutex::new(Vec::new());

fn moments() -> std::sync::MutexGuard<'static, Vec<Instant>> {
    MOMENTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A step that notes when it was made.
#[activity]
pub async fn tick(number: u32) -> saga_runtime::Result<u32> {
    moments().push(Instant::now());
    Ok(number)
}

/// So many of them.
#[workflow]
pub async fn long(count: u32) -> saga_runtime::Result<()> {
    for number in 0..count {
        tick(number).await?;
    }
    Ok(())
}

/// Measures.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let place = options.common.place().await?;
    let figures = measure(&place, options.steps).await;
    place.clear().await?;
    figures?.print(options.common.json);
    Ok(())
}

/// The steps of one run, compared tenth by tenth.
pub async fn measure(place: &Place, steps: u32) -> anyhow::Result<Figures> {
    let opened = place.open().await?;
    let engine = opened.engine().start().await?;
    engine.client().start(long(200)).await?.result().await?;
    moments().clear();
    engine.client().start(long(steps)).await?.result().await?;
    engine.shutdown().await;
    let mut times: Vec<Duration> =
        moments().windows(2).map(|pair| pair[1].saturating_duration_since(pair[0])).collect();
    let tenth = (times.len() / 10).max(1);
    let first = percentile(&mut times[..tenth], 0.5).as_secs_f64() * 1e6;
    let from = times.len() - tenth;
    let last = percentile(&mut times[from..], 0.5).as_secs_f64() * 1e6;
    let mut figures = Figures::new(format!("{}: one run of {steps} steps", place.kind()));
    figures.add("first_tenth", first, "µs a step (median)").add("last_tenth", last, "µs a step (median)").add(
        "growth",
        last / first,
        "× the first's",
    );
    Ok(figures)
}
