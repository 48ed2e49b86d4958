//! The gate before a release: ratios only, each of two figures that were taken side by side.

use crate::figures::Figures;
use crate::load::Load;
use crate::place::Place;
use crate::threads::runtime;
use crate::verbs::{compare, history, ledger, run};

/// What `gate` takes.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Stores: `sqlite`, `postgres` or addresses.
    #[arg(default_values = ["sqlite", "postgres"])]
    stores: Vec<String>,
}

/// A figure and the bound that it must keep.
struct Bound {
    what: String,
    value: Option<f64>,
    least: Option<f64>,
    most: Option<f64>,
}

impl Bound {
    fn holds(&self) -> bool {
        self.value.is_some_and(|value| {
            self.least.is_none_or(|least| value >= least) && self.most.is_none_or(|most| value <= most)
        })
    }
}

/// Measures, prints each bound, and fails if one is not kept.
pub fn run(options: Options) -> anyhow::Result<()> {
    let mut bounds = Vec::new();
    for store in &options.stores {
        runtime(store)?.block_on(async { gate(&Place::parse(store, None).await?, &mut bounds).await })?;
    }
    for bound in &bounds {
        let shown = bound.value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
        let limit = match (bound.least, bound.most) {
            (Some(least), _) => format!("at least {least}"),
            (_, Some(most)) => format!("at most {most}"),
            _ => String::new(),
        };
        println!("{} {:<64} {shown:>8}  ({limit})", if bound.holds() { "ok  " } else { "FAIL" }, bound.what);
    }
    let broken = bounds.iter().filter(|bound| !bound.holds()).count();
    anyhow::ensure!(broken == 0, "{broken} of {} bounds are not kept", bounds.len());
    Ok(())
}

async fn gate(place: &Place, bounds: &mut Vec<Bound>) -> anyhow::Result<()> {
    let kind = place.kind();
    let at_least = |what: &str, figures: &Figures, name: &str, least: f64| Bound {
        what: format!("{kind}: {what}"),
        value: figures.get(name),
        least: Some(least),
        most: None,
    };
    let at_most = |what: &str, figures: &Figures, name: &str, most: f64| Bound {
        what: format!("{kind}: {what}"),
        value: figures.get(name),
        least: None,
        most: Some(most),
    };
    // Enough of them that beginnings and ends, when there are fewer at once, are a small part.
    let many = compare::measure(place, Load { runs: 48_000, concurrency: 256, steps: 10, payload: 0 }).await?;
    bounds.push(at_least("256 runs at once, % of the limit", &many, "share_of_limit", 60.0));
    let most = compare::measure(place, Load { runs: 96_000, concurrency: 1_024, steps: 10, payload: 0 }).await?;
    bounds.push(at_least("1,024 runs at once, % of the limit", &most, "share_of_limit", 60.0));
    let alone = compare::measure(place, Load { runs: 600, concurrency: 1, steps: 10, payload: 0 }).await?;
    bounds.push(at_most("a run alone, times the limit's", &alone, "times_the_limit", 1.4));
    let long = history::measure(place, 10_000).await?;
    bounds.push(at_most("the last steps of 10,000, times the first", &long, "growth", 1.2));
    if matches!(place, Place::Postgres { .. }) {
        let load = Load { runs: 48_000, concurrency: 256, steps: 10, payload: 0 };
        // In turns, so that a machine that grows slower meanwhile does so for both.
        let (mut one, mut four) = (0.0, 0.0);
        for _ in 0..2 {
            one += run::processes(place, load, 1).await?.get("steps_per_second").unwrap_or_default();
            four += run::processes(place, load, 4).await?.get("steps_per_second").unwrap_or_default();
        }
        let share = Some(four / one * 100.0);
        bounds.push(Bound {
            what: format!("{kind}: four worker processes, % of one's steps a second"),
            value: share,
            least: Some(75.0),
            most: None,
        });
        let exact = ledger::measure(place, ledger::Load { runs: 2_000, concurrency: 64, sessions: 16 }).await?;
        bounds.push(at_least("transactional steps, % of raw transactions", &exact, "share_of_raw", 70.0));
    }
    place.clear().await
}
