//! Many steps at once in one run: what each costs must not grow with their number.

use std::time::Instant;

use super::Common;
use crate::figures::Figures;
use crate::work::fan;

/// What `fanout` takes.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Where, and how to print.
    #[command(flatten)]
    pub common: Common,
    /// Steps at once.
    #[arg(default_value_t = 10_000)]
    steps: u32,
}

/// Measures.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let place = options.common.place().await?;
    let opened = place.open().await?;
    let engine = opened.engine().start().await?;
    engine.client().start(fan(100)).await?.result().await?;
    let mut figures = Figures::new(format!("{}: one run with so many steps at once", place.kind()));
    let each = async |count: u32| {
        let begun = Instant::now();
        engine.client().start(fan(count)).await?.result().await?;
        anyhow::Ok(begun.elapsed().as_secs_f64() * 1e6 / f64::from(count))
    };
    let (few, many) = (each(options.steps.div_ceil(10)).await?, each(options.steps).await?);
    engine.shutdown().await;
    place.clear().await?;
    figures
        .add("steps_at_once", f64::from(options.steps), "")
        .add("a_tenth_at_once", few, "µs a step")
        .add("all_at_once", many, "µs a step")
        .add("growth", many / few, "× that of a tenth")
        .add("peak_memory", crate::meter::peak_memory(), "MiB");
    figures.print(options.common.json);
    Ok(())
}
