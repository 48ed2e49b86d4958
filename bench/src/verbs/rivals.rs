//! The same workload on other crates: one table with ours.

use std::process::Stdio;

use anyhow::Context as _;
use tokio::process::Command;

use super::run;
use crate::load::Load;
use crate::place::Place;

/// What `rivals` takes.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// The program of `bench/rivals`.
    program: std::path::PathBuf,
    /// Runs at once.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 64, 256])]
    concurrency: Vec<u64>,
    /// Runs in all; a tenth of it one at a time.
    #[arg(long, default_value_t = 2_000)]
    runs: u64,
    /// A server for those that need one; a throwaway one if not given.
    #[arg(long, default_value = "postgres")]
    server: String,
}

/// Measures ours and theirs, each in turn, and prints a row for each.
pub async fn run(options: Options) -> anyhow::Result<()> {
    println!("| who | store | runs at once | steps/s | p50 of a run |");
    println!("|---|---|---|---|---|");
    for concurrency in &options.concurrency {
        let runs = if *concurrency == 1 { options.runs.div_ceil(10) } else { options.runs };
        let load = Load { runs, concurrency: *concurrency, steps: 10, payload: 0 };
        for store in ["sqlite", &options.server] {
            let place = Place::parse(store, None).await?;
            let ours = run::measure(&place, load).await?;
            place.clear().await?;
            print("saga", &place, load, ours.get("steps_per_second"), ours.get("p50"));
            let rivals: &[&str] = match &place {
                Place::Sqlite { .. } => &["durare", "duroxide"],
                Place::Postgres { .. } => &["dbos", "durare"],
            };
            for rival in rivals {
                match theirs(&options, rival, &place, load).await {
                    Ok((steps, p50)) => print(rival, &place, load, Some(steps), Some(p50)),
                    Err(error) => println!("| {rival} | {} | {concurrency} | failed: {error} | |", place.kind()),
                }
            }
        }
    }
    Ok(())
}

fn print(who: &str, place: &Place, load: Load, steps: Option<f64>, p50: Option<f64>) {
    let shown = |value: Option<f64>, digits: usize| value.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
    println!("| {who} | {} | {} | {} | {} ms |", place.kind(), load.concurrency, shown(steps, 0), shown(p50, 2));
}

async fn theirs(options: &Options, rival: &str, place: &Place, load: Load) -> anyhow::Result<(f64, f64)> {
    let url = match place {
        // They want a host to be named, even if the parameters say which socket it is.
        Place::Postgres { url, .. } => url.replacen("@/", "@localhost/", 1),
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
