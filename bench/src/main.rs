//! Measures the framework: `cargo run --release -p saga-bench -- help`.

use clap::{Parser, Subcommand};
use saga_bench::threads::runtime;
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

fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_env_filter(filter()).with_writer(std::io::stderr).init();
    let verb = Program::parse().verb;
    let runtime = runtime(verb.store())?;
    match verb {
        Verb::Run(options) => runtime.block_on(run::run(options)),
        Verb::Limit(options) => runtime.block_on(limit::run(options)),
        Verb::Start(options) => runtime.block_on(start::run(options)),
        Verb::History(options) => runtime.block_on(history::run(options)),
        Verb::Ledger(options) => runtime.block_on(ledger::run(options)),
        Verb::Fanout(options) => runtime.block_on(fanout::run(options)),
        Verb::Events(options) => runtime.block_on(events::run(options)),
        Verb::Timers(options) => runtime.block_on(timers::run(options)),
        Verb::Sleepers(options) => runtime.block_on(sleepers::run(options)),
        Verb::Orders(options) => runtime.block_on(orders::run(options)),
        Verb::Recover(options) => runtime.block_on(recover::run(options)),
        Verb::Gate(options) => gate::run(options),
        Verb::Report(options) => report::run(options),
        Verb::Rivals(options) => runtime.block_on(rivals::run(options)),
        Verb::Worker(options) => runtime.block_on(run::worker(options)),
        Verb::ListenWorker(options) => runtime.block_on(events::worker(options)),
        Verb::IdleWorker(common) => runtime.block_on(sleepers::idle_worker(common)),
        Verb::WaitingWorker(common) => runtime.block_on(sleepers::waiting_worker(common)),
        Verb::RecoverWorker(options) => runtime.block_on(recover::worker(options)),
    }
}

impl Verb {
    /// The store that it measures. What measures several has a runtime for each, or leaves the work to
    /// other processes.
    fn store(&self) -> &str {
        let common = match self {
            Self::Run(options) | Self::Worker(options) => &options.common,
            Self::Limit(options) => &options.common,
            Self::Start(options) => &options.common,
            Self::History(options) => &options.common,
            Self::Ledger(options) => &options.common,
            Self::Fanout(options) => &options.common,
            Self::Events(options) | Self::ListenWorker(options) => &options.common,
            Self::Timers(options) => &options.common,
            Self::Sleepers(options) => &options.common,
            Self::Recover(options) | Self::RecoverWorker(options) => &options.common,
            Self::IdleWorker(common) | Self::WaitingWorker(common) => common,
            Self::Orders(_) | Self::Gate(_) | Self::Report(_) | Self::Rivals(_) => return "",
        };
        &common.store
    }
}

/// As quiet as production is, unless told otherwise.
fn filter() -> tracing_subscriber::EnvFilter {
    tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into())
}
