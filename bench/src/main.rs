//! Measures the framework: `cargo run --release -p saga-bench -- help`.

use clap::{Parser, Subcommand};
use saga_bench::verbs::{history, limit, run, start};

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
    /// A worker process of `run --workers`.
    #[command(hide = true)]
    Worker(run::Options),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_env_filter(filter()).with_writer(std::io::stderr).init();
    match Program::parse().verb {
        Verb::Run(options) => run::run(options).await,
        Verb::Limit(options) => limit::run(options).await,
        Verb::Start(options) => start::run(options).await,
        Verb::History(options) => history::run(options).await,
        Verb::Worker(options) => run::worker(options).await,
    }
}

/// As quiet as production is, unless told otherwise.
fn filter() -> tracing_subscriber::EnvFilter {
    tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into())
}
