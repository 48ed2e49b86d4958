//! Money between accounts, exactly once without idempotency keys: the activities write to the
//! store's own file or database, so their writes and their journal entries are one transaction.
//!
//! Stop it as you like, also with `kill -9`: the same command goes on. In the end no cent is
//! lost or made, and each transfer has its entries in the ledger once.
//!
//! ```text
//! cargo run --release --bin transfer -- --transfers 10000
//! cargo run --release --bin transfer -- --store postgres://app@localhost/bank
//! ```
//!
//! - `saga`: the workflow; `steps`: its activities, which write within the transaction.
//! - `bank`: the tables. `plan`: which transfers there are. `check`: the invariant.

mod bank;
mod check;
mod plan;
mod saga;
mod steps;

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use saga_examples::{Interrupt, OpenStore, StoreUrl, drive, init_logging, patiently, seconds};
use saga_runtime::Client;
use saga_store::{Query, RunState};

use crate::check::Balance;
use crate::plan::{Plan, Transfer};
use crate::saga::transfer_money;

/// So many runs are read at once.
const PAGE: usize = 2_000;

/// Money between accounts, as sagas whose steps and writes are one transaction.
#[derive(Debug, Parser)]
#[command(name = "transfer", version)]
struct Args {
    /// Where the journals and the accounts are kept
    #[arg(long, value_name = "URL", default_value = "sqlite://transfer.db")]
    store: StoreUrl,
    /// How many accounts there are
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..))]
    accounts: u32,
    /// How many transfers are made
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    transfers: u32,
    /// Chooses the transfers
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How many transfers are worked on at once
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    concurrency: u32,
    /// On a server: after so long a silence of this program another takes over its transfers
    #[arg(long, value_name = "SECONDS", default_value = "12", value_parser = seconds)]
    lease: Duration,
    /// Print the result as one JSON object on the last line
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    init_logging();
    run(Args::parse()).await.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::listen()?;
    let store = OpenStore::open(&args.store).await?;
    let accounts = args.accounts;
    bank::create(&store, accounts).await?;
    let plan = Plan { seed: args.seed, accounts };
    let concurrency = usize::try_from(args.concurrency)?;

    let engine = store.clone().engine().max_runs(concurrency).heartbeat(args.lease / 4, args.lease).start().await?;
    let client = engine.client().clone();
    let before = states(&client).await?;
    let transfers: Vec<Transfer> = (1..=args.transfers).map(|number| plan.transfer(number)).collect();
    let open: Vec<&Transfer> =
        transfers.iter().filter(|transfer| !before.get(&transfer.id()).is_some_and(|state| state.is_final())).collect();
    let ended = transfers.len() - open.len();
    drive(open, ended, concurrency, &interrupt, |transfer| to_the_end(&client, transfer)).await?;
    engine.shutdown().await;
    if interrupt.is_requested() {
        eprintln!("stopped; the same command goes on");
    }

    let after = states(&client).await?;
    let balance = Balance::of(&bank::books(&store).await?, &after);
    if args.json {
        println!("{}", serde_json::to_string(&balance)?);
    } else {
        print!("{balance}");
    }
    Ok(match (balance.holds(), interrupt.is_requested()) {
        (false, _) => ExitCode::FAILURE,
        (true, true) => Interrupt::exit_code(),
        (true, false) => ExitCode::SUCCESS,
    })
}

/// Starts a transfer, or finds it again, and waits for its end.
async fn to_the_end(client: &Client, transfer: &Transfer) -> anyhow::Result<()> {
    let Transfer { from, to, cents, .. } = *transfer;
    let start = || async { client.start(transfer_money(from, to, cents)).id(transfer.id()).await };
    let run = patiently(start).await.with_context(|| format!("cannot start {}", transfer.id()))?;
    patiently(|| run.outcome()).await.with_context(|| format!("cannot wait for {}", transfer.id()))?;
    Ok(())
}

/// How each transfer's run stands.
async fn states(client: &Client) -> anyhow::Result<HashMap<String, RunState>> {
    let mut states = HashMap::new();
    let mut query = Query { workflow: Some(transfer_money::NAME.to_owned()), limit: PAGE, ..Query::default() };
    loop {
        let page = client.list(&query).await.context("cannot list the runs")?;
        states.extend(page.runs.iter().map(|run| (run.id.to_string(), run.state)));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(states),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
