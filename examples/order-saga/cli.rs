//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use saga_examples::{StoreUrl, seconds};

/// Thousands of orders as durable sagas: stock is reserved, cards are charged, mails are sent,
/// each exactly once, through crashes and failures; what cannot be completed is taken back.
#[derive(Debug, Parser)]
#[command(name = "order-saga", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
}

impl Cli {
    /// What to do; `run` if nothing else is said.
    pub(crate) fn into_command(self) -> Command {
        self.command.unwrap_or(Command::Run(self.run))
    }
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the orders not started yet, resume those interrupted, wait for all (the default)
    Run(RunArgs),
    /// Check the shop's tables against the runs; exit with 1 if anything is lost, doubled or left behind
    Audit(AuditArgs),
    /// Show the timeline of one order: its steps, attempts, results and undos
    Show(ShowArgs),
    /// Cancel, terminate, suspend, resume or retry an order
    Operate(OperateArgs),
    /// Start the orders not started yet and leave their work to workers
    Submit(SubmitArgs),
    /// Work on started orders until stopped
    Worker(WorkerArgs),
}

/// Where the orders are.
#[derive(Debug, Clone, Args)]
pub(crate) struct OrdersArgs {
    /// The orders: a header, then lines of customer id, date, number of CDs, dollar value [default: 7,000 bundled ones]
    #[arg(long, value_name = "FILE")]
    pub(crate) orders: Option<PathBuf>,
}

/// Where the journals are.
#[derive(Debug, Clone, Args)]
pub(crate) struct StoreArgs {
    /// Where the runs' journals are kept: `sqlite://PATH`, or `postgres://USER@HOST/DATABASE`
    #[arg(long, value_name = "URL", default_value = "sqlite://order-saga.db")]
    pub(crate) store: StoreUrl,
}

/// Where the shop's tables are.
#[derive(Debug, Clone, Args)]
pub(crate) struct ShopArgs {
    /// Where the shop keeps its stock, payments and outbox [default: order-saga-shop.db beside the store, or
    /// the schema `order_saga_shop` of its database]
    #[arg(long, value_name = "URL")]
    shop: Option<StoreUrl>,
}

impl ShopArgs {
    /// The shop's database, given the store's.
    pub(crate) fn url(&self, store: &StoreUrl) -> StoreUrl {
        self.shop.clone().unwrap_or_else(|| store.beside("order-saga-shop.db"))
    }
}

/// What the worker's side of the program takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct WorkArgs {
    /// How many orders are worked on at once
    #[arg(long, value_name = "N", default_value = "256", value_parser = at_least_one)]
    pub(crate) concurrency: usize,
    /// Orders of more CDs than this are out of stock
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) max_quantity: u32,
    /// Cards are declined for more than this
    #[arg(long, value_name = "CENTS", default_value_t = 10_000)]
    pub(crate) decline_over: u64,
    /// Fail this share of attempts, half of them before their effect and half after it
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = percent)]
    pub(crate) flaky: f64,
    /// Chooses which attempts fail
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// After so long a silence of this worker others take over its orders
    #[arg(long, value_name = "SECONDS", default_value = "12", value_parser = seconds)]
    pub(crate) lease: Duration,
    /// What operators call this worker
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(crate) name: String,
}

/// Arguments of `run`.
#[derive(Debug, Clone, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) orders: OrdersArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) shop: ShopArgs,
    /// Take only the first so many lines of the orders
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    #[command(flatten)]
    pub(crate) work: WorkArgs,
    /// Print the summary as one JSON object on the last line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `audit`.
#[derive(Debug, Clone, Args)]
pub(crate) struct AuditArgs {
    #[command(flatten)]
    pub(crate) orders: OrdersArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) shop: ShopArgs,
    /// Take only the first so many lines of the orders
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Print the result as one JSON object on the last line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `show`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ShowArgs {
    /// The order: ORD-17, or 17
    #[arg(value_name = "ORDER")]
    pub(crate) order: String,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// Arguments of `operate`.
#[derive(Debug, Clone, Args)]
pub(crate) struct OperateArgs {
    /// What to do
    #[arg(value_name = "ACTION")]
    pub(crate) action: Operation,
    /// The order: ORD-17, or 17
    #[arg(value_name = "ORDER")]
    pub(crate) order: String,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// What can be done to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Operation {
    /// Stop it and undo its steps
    Cancel,
    /// End it at once, without undo
    Terminate,
    /// Stop it until it is resumed
    Suspend,
    /// Let a suspended order go on
    Resume,
    /// Go on with an order that is dead, or anew with one that failed
    Retry,
    /// Delete an order that has ended, with its journal
    Purge,
}

/// Arguments of `submit`.
#[derive(Debug, Clone, Args)]
pub(crate) struct SubmitArgs {
    #[command(flatten)]
    pub(crate) orders: OrdersArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Take only the first so many lines of the orders
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// How many orders are started at once
    #[arg(long, value_name = "N", default_value = "256", value_parser = at_least_one)]
    pub(crate) concurrency: usize,
}

/// Arguments of `worker`.
#[derive(Debug, Clone, Args)]
pub(crate) struct WorkerArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) shop: ShopArgs,
    #[command(flatten)]
    pub(crate) work: WorkArgs,
    /// Print at the end how many attempts were made, as one JSON object on the last line
    #[arg(long)]
    pub(crate) json: bool,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("expected a whole number from 1".to_owned()),
        Ok(number) => Ok(number),
        Err(error) => Err(format!("expected a whole number from 1: {error}")),
    }
}

fn percent(text: &str) -> Result<f64, String> {
    let percent: f64 = text.parse().map_err(|error| format!("expected a number from 0 to 100: {error}"))?;
    if (0.0..=100.0).contains(&percent) { Ok(percent) } else { Err("expected a number from 0 to 100".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Command, clap::Error> {
        Cli::try_parse_from(std::iter::once(&"order-saga").chain(args)).map(Cli::into_command)
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn run_is_the_default_with_or_without_its_flags() {
        let Ok(Command::Run(args)) = parse(&[]) else { panic!("not `run`") };
        assert_eq!((args.work.max_quantity, args.work.decline_over, args.json), (10, 10_000, false));
        assert_eq!(args.store.store.to_string(), "sqlite://order-saga.db");
        let Ok(Command::Run(args)) = parse(&["--limit", "5", "--json"]) else { panic!("not `run`") };
        assert_eq!((args.limit, args.json), (Some(5), true));
        assert!(matches!(parse(&["run", "--flaky", "20"]), Ok(Command::Run(_))));
    }

    #[test]
    fn the_shop_is_beside_the_store_unless_said_otherwise() {
        let Ok(Command::Run(args)) = parse(&["run", "--store", "sqlite:///data/x.db"]) else { panic!("not `run`") };
        assert_eq!(args.shop.url(&args.store.store).to_string(), "sqlite:///data/order-saga-shop.db");
        let Ok(Command::Run(args)) = parse(&["--shop", "sqlite://s.db"]) else { panic!("not `run`") };
        assert_eq!(args.shop.url(&args.store.store).to_string(), "sqlite://s.db");
        let Ok(Command::Run(args)) = parse(&["--store", "postgres://app@db/orders"]) else { panic!("not `run`") };
        assert_eq!(args.shop.url(&args.store.store), args.store.store);
    }

    #[test]
    fn a_password_in_an_address_is_not_printed_when_the_address_is_refused() {
        for url in ["postgress://app:s3cret@db/orders", "host=db password=s3cret"] {
            let message = parse(&["--store", url]).unwrap_err().to_string();
            assert!(message.contains("--store") && !message.contains("s3cret"), "{message}");
        }
    }

    #[test]
    fn values_that_make_no_sense_are_refused_with_what_was_expected() {
        for (args, expected) in [
            (&["--flaky", "101"], "from 0 to 100"),
            (&["--flaky", "NaN"], "from 0 to 100"),
            (&["--concurrency", "0"], "from 1"),
            (&["--lease", "0"], "from 1 to 3600"),
            (&["--lease", "soon"], "a number of seconds"),
            (&["--store", "mysql://x"], "sqlite://PATH"),
        ] {
            let message = parse(args).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
        let message = parse(&["operate", "delete", "17"]).unwrap_err().to_string();
        assert!(message.contains("cancel, terminate, suspend, resume, retry, purge"), "{message}");
    }
}
