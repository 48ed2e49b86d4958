//! The order pipeline of `order-saga` over a whole file of orders, with a shop in real tables, on
//! each store; and its audit.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context as _;
use serde_json::Value;
use tokio::process::Command;

use crate::place::Place;

/// What `orders` takes.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Stores: `sqlite`, `postgres` or addresses.
    #[arg(default_values = ["sqlite", "postgres"])]
    stores: Vec<String>,
    /// The file of orders; the one that comes with `order-saga` if not given.
    #[arg(long)]
    orders: Option<PathBuf>,
    /// The program; the one beside this program if not given.
    #[arg(long)]
    program: Option<PathBuf>,
}

/// Runs all orders on each store and prints a row for each.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let beside = std::env::current_exe()?.with_file_name("order-saga");
    let program = options.program.unwrap_or(beside);
    anyhow::ensure!(
        program.exists(),
        "{} is not there; build it: cargo build --release --bin order-saga",
        program.display()
    );
    println!("| store | orders | completed | undone | seconds | orders/s | audit |");
    println!("|---|---|---|---|---|---|---|");
    for store in &options.stores {
        let place = Place::parse(store, None).await?;
        let url = match &place {
            Place::Sqlite { path, .. } => format!("sqlite://{}", path.display()),
            Place::Postgres { url, .. } => url.clone(),
        };
        let (_, done) = call(&program, &["run"], &url, options.orders.as_deref()).await?;
        let (clean, _) = call(&program, &["audit"], &url, options.orders.as_deref()).await?;
        let shown = |name: &str| done[name].as_f64().map_or("-".to_owned(), |value| format!("{value:.0}"));
        println!(
            "| {} | {} | {} | {} | {:.1} | {} | {} |",
            place.kind(),
            shown("orders"),
            shown("completed"),
            shown("undone"),
            done["seconds"].as_f64().unwrap_or_default(),
            shown("orders_per_s"),
            if clean { "clean" } else { "NOT CLEAN" }
        );
        place.clear().await?;
        anyhow::ensure!(clean, "the audit found violations");
    }
    Ok(())
}

/// Whether it succeeded, and the object of its last line.
async fn call(program: &Path, verb: &[&str], store: &str, orders: Option<&Path>) -> anyhow::Result<(bool, Value)> {
    let mut command = Command::new(program);
    command.args(verb).args(["--json", "--store", store]).stderr(Stdio::inherit());
    if let Some(orders) = orders {
        command.arg("--orders").arg(orders);
    }
    let output = command.output().await?;
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().with_context(|| format!("{verb:?} printed nothing: {}", output.status))?;
    Ok((output.status.success(), serde_json::from_str(last)?))
}
