//! The same workload on other crates: one table with ours.

use std::process::Stdio;

use anyhow::Context as _;
use tokio::process::Command;

use super::{ledger, run};
use crate::figures::Figures;
use crate::load::Load;
use crate::place::Place;

/// What `rivals` takes.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// The program of `bench/rivals`.
    program: std::path::PathBuf,
    /// Runs at once.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64, 256, 1_024])]
    concurrency: Vec<u64>,
    /// Runs in all; a tenth of it one at a time.
    #[arg(long, default_value_t = 2_000)]
    runs: u64,
    /// A server for those that need one; a throwaway one if not given.
    #[arg(long, default_value = "postgres")]
    server: String,
}

/// Measures ours and theirs, each in turn, and prints a row for each. All flush each commit, but
/// for `durare` on SQLite, which sets `synchronous = NORMAL`.
pub async fn run(options: Options) -> anyhow::Result<()> {
    println!("| who | store | runs at once | steps/s | p50 of a run | ours is |");
    println!("|---|---|---|---|---|---|");
    for concurrency in &options.concurrency {
        let runs = if *concurrency == 1 { options.runs.div_ceil(10) } else { options.runs };
        let load = Load { runs, concurrency: *concurrency, steps: 10, payload: 0 };
        for store in ["sqlite", &options.server] {
            let place = Place::parse(store, None).await?;
            let ours = run::measure(&place, load).await?;
            place.clear().await?;
            let ours = Rate::of(&ours);
            ours.print("saga", place.kind(), *concurrency, ours);
            let rivals: &[&str] = match &place {
                Place::Sqlite { .. } => &["durare", "duroxide"],
                Place::Postgres { .. } => &["dbos", "durare", "duroxide"],
            };
            for rival in rivals {
                compare(&options, rival, &place, load, ours).await;
            }
        }
    }
    println!("\nTransactional steps: each reads, increments and writes one of 1,000 rows.\n");
    println!("| who | store | runs at once | steps/s | p50 of a run | ours is |");
    println!("|---|---|---|---|---|---|");
    let load = Load { runs: options.runs, concurrency: 64, steps: 10, payload: 0 };
    for store in ["sqlite", &options.server] {
        let place = Place::parse(store, None).await?;
        let exact = ledger::Load { runs: load.runs, concurrency: load.concurrency, sessions: 16 };
        let ours = Rate::of(&ledger::measure(&place, exact).await?);
        place.clear().await?;
        ours.print("saga", place.kind(), load.concurrency, ours);
        compare(&options, "durare-ledger", &place, load, ours).await;
    }
    Ok(())
}

/// Steps a second, and milliseconds of a run.
#[derive(Debug, Clone, Copy)]
struct Rate {
    steps: f64,
    p50: f64,
}

impl Rate {
    fn of(figures: &Figures) -> Self {
        let figure = |name: &str| figures.get(name).unwrap_or(f64::NAN);
        Self { steps: figure("steps_per_second"), p50: figure("p50") }
    }

    fn print(self, who: &str, store: &str, concurrency: u64, ours: Self) {
        let Self { steps, p50 } = self;
        println!("| {who} | {store} | {concurrency} | {steps:.0} | {p50:.2} ms | {:.1} × |", ours.steps / steps);
    }
}

async fn compare(options: &Options, rival: &str, place: &Place, load: Load, ours: Rate) {
    match theirs(options, rival, place, load).await {
        Ok((steps, p50)) => Rate { steps, p50 }.print(rival, place.kind(), load.concurrency, ours),
        Err(error) => println!("| {rival} | {} | {} | failed: {error} | | |", place.kind(), load.concurrency),
    }
}

async fn theirs(options: &Options, rival: &str, place: &Place, load: Load) -> anyhow::Result<(f64, f64)> {
    let url = match place {
        Place::Postgres { url, .. } => {
            // A database of its own: dbos and durare both keep their tables in a schema `dbos`, and
            // a run that is there from another turn would not be run again.
            let database = format!("saga_rival_{}", rival.replace('-', "_"));
            let session = place.session().await?.context("there is no server")?;
            session.batch_execute(&format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)")).await?;
            session.batch_execute(&format!("CREATE DATABASE {database}")).await?;
            in_database(url, &database)?
        }
        Place::Sqlite { path, .. } => {
            let file = path.with_file_name(format!("{rival}-{}.db", load.concurrency));
            // Neither makes the file itself.
            std::fs::write(&file, "")?;
            format!("sqlite:{}", file.display())
        }
    };
    // The slow ones get a part of the work: a rate is asked for.
    let runs = if rival == "duroxide" { load.runs.div_ceil(20).max(load.concurrency) } else { load.runs };
    let output = Command::new(&options.program)
        .args([rival, &url, &runs.to_string(), &load.concurrency.to_string(), &load.steps.to_string()])
        .env("DBOS__APPVERSION", "1")
        .stderr(Stdio::inherit())
        .output()
        .await?;
    anyhow::ensure!(output.status.success(), "{}", output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    let figures: serde_json::Value = serde_json::from_str(text.lines().last().context("it printed nothing")?)?;
    let figure = |name: &str| figures[name].as_f64().context("a figure is missing");
    Ok((figure("steps_per_second")?, figure("p50")?))
}

/// The address of another database of the same server.
fn in_database(url: &str, database: &str) -> anyhow::Result<String> {
    let (address, parameters) = url.split_once('?').map_or((url, None), |(address, more)| (address, Some(more)));
    let (scheme, rest) = address.split_once("://").context("the server has no address")?;
    let host = rest.split_once('/').map_or(rest, |(host, _)| host);
    // They want a host to be named, even if the parameters say which socket it is.
    let host = if host.is_empty() || host.ends_with('@') { format!("{host}localhost") } else { host.to_owned() };
    let parameters = parameters.map(|parameters| format!("?{parameters}")).unwrap_or_default();
    Ok(format!("{scheme}://{host}/{database}{parameters}"))
}

#[cfg(test)]
mod tests {
    use super::in_database;

    #[test]
    fn a_database_takes_the_place_of_another_in_an_address() {
        for (url, other) in [
            ("postgres://me@/one?host=%2Frun", "postgres://me@localhost/two?host=%2Frun"),
            ("postgres://me:pw@db:5433/one", "postgres://me:pw@db:5433/two"),
            ("postgres://me@db", "postgres://me@db/two"),
            ("postgres:///one?user=me", "postgres://localhost/two?user=me"),
        ] {
            assert_eq!(in_database(url, "two").unwrap(), other);
        }
        assert!(in_database("one", "two").is_err());
    }
}
