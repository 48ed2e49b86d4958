//! All figures of the page on performance, as its tables.

use crate::figures::Figures;
use crate::load::Load;
use crate::place::Place;
use crate::threads::runtime;
use crate::verbs::compare;

/// What `report` takes.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Stores: `sqlite`, `postgres` or addresses.
    #[arg(default_values = ["sqlite", "postgres"])]
    stores: Vec<String>,
}

/// Measures each load beside its limit and prints a row for each.
pub fn run(options: Options) -> anyhow::Result<()> {
    println!(
        "| store | runs at once | steps/s | p50 of a run | p99 | the limit's steps/s | share of the limit | bytes a step | client CPU a step | server CPU a step |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    options.stores.iter().try_for_each(|store| runtime(store)?.block_on(rows(store)))
}

async fn rows(store: &str) -> anyhow::Result<()> {
    let place = Place::parse(store, None).await?;
    for (concurrency, runs) in [(1, 1_200), (16, 6_000), (64, 12_000), (256, 30_000), (1_024, 60_000)] {
        let figures = compare::measure(&place, Load { runs, concurrency, steps: 10, payload: 0 }).await?;
        println!("{}", row(place.kind(), concurrency, &figures));
    }
    place.clear().await
}

fn row(kind: &str, concurrency: u64, figures: &Figures) -> String {
    let shown = |name: &str, digits: usize, unit: &str| {
        figures.get(name).map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}{unit}"))
    };
    let share = match figures.get("times_the_limit") {
        Some(times) => format!("{times:.2} × its time"),
        None => shown("share_of_limit", 0, " %"),
    };
    format!(
        "| {kind} | {concurrency} | {} | {} | {} | {} | {share} | {} | {} | {} |",
        shown("steps_per_second", 0, ""),
        shown("p50", 2, " ms"),
        shown("p99", 2, " ms"),
        shown("limit_steps_per_second", 0, ""),
        shown("bytes_per_step", 0, ""),
        shown("client_cpu_per_step", 1, " µs"),
        shown("server_cpu_per_step", 1, " µs"),
    )
}
