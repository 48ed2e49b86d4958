//! Measures the framework: `cargo run --release -p saga-bench -- help`.

use clap::{Parser, Subcommand};
use saga_bench::verbs::{
    events, fanout, gate, history, ledger, limit, orders, recover, report, rivals, run, sleepers, start, timers,
};

#[derive(Parser)]
#[command(name = "saga-bench", about = "Measures the saga framework beside the limit of its store.")]
struct Program {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// No-op steps through the engine; `--compare` measures the limit beside it.
    Run(run::Options),
    /// The same rows by the same statements, without the engine.
    Limit(limit::Options),
    /// Starts.
    Start(start::Options),
    /// The cost of a step late in a long history.
    History(history::Options),
    /// Transactional steps, each exactly once.
    Ledger(ledger::Options),
    /// Many steps at once in one run.
    Fanout(fanout::Options),
    /// From the sending of an event to the run that it wakes.
    Events(events::Options),
    /// Many timers that are due at one moment.
    Timers(timers::Options),
    /// Runs that only wait: bytes, and what an idle worker does.
    Sleepers(sleepers::Options),
    /// The order pipeline over a whole file of orders, on each store.
    Orders(orders::Options),
    /// Taking over the runs of a worker that was killed.
    Recover(recover::Options),
    /// The bounds that a release must keep, as ratios.
    Gate(gate::Options),
    /// The table of the page on performance.
    Report(report::Options),
    /// The same workload on other crates.
    Rivals(rivals::Options),
    /// A worker process of `run --workers`.
    #[command(hide = true)]
    Worker(run::Options),
    /// The other process of `events`.
    #[command(hide = true)]
    ListenWorker(events::Options),
    /// The other process of `sleepers`.
    #[command(hide = true)]
    IdleWorker(saga_bench::verbs::Common),
    /// Another one.
    #[command(hide = true)]
    WaitingWorker(saga_bench::verbs::Common),
    /// The process that `recover` kills.
    #[command(hide = true)]
    RecoverWorker(recover::Options),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_env_filter(filter()).with_writer(std::io::stderr).init();
    match Program::parse().verb {
        Verb::Run(options) => run::run(options).await,
        Verb::Limit(options) => limit::run(options).await,
        Verb::Start(options) => start::run(options).await,
        Verb::History(options) => history::run(options).await,
        Verb::Ledger(options) => ledger::run(options).await,
        Verb::Fanout(options) => fanout::run(options).await,
        Verb::Events(options) => events::run(options).await,
        Verb::Timers(options) => timers::run(options).await,
        Verb::Sleepers(options) => sleepers::run(options).await,
        Verb::Orders(options) => orders::run(options).await,
        Verb::Recover(options) => recover::run(options).await,
        Verb::Gate(options) => gate::run(options).await,
        Verb::Report(options) => report::run(options).await,
        Verb::Rivals(options) => rivals::run(options).await,
        Verb::Worker(options) => run::worker(options).await,
        Verb::ListenWorker(options) => events::worker(options).await,
        Verb::IdleWorker(common) => sleepers::idle_worker(common).await,
        Verb::WaitingWorker(common) => sleepers::waiting_worker(common).await,
        Verb::RecoverWorker(options) => recover::worker(options).await,
    }
}

/// As quiet as production is, unless told otherwise.
fn filter() -> tracing_subscriber::EnvFilter {
    tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into())
}
