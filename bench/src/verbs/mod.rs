//! The measurements.

pub mod compare;
pub mod events;
pub mod fanout;
pub mod gate;
pub mod history;
pub mod ledger;
pub mod limit;
pub mod orders;
pub mod recover;
pub mod report;
pub mod rivals;
pub mod run;
pub mod sleepers;
pub mod start;
pub mod timers;

/// Where, and how to print: what all measurements take.
#[derive(Debug, Clone, clap::Args)]
pub struct Common {
    /// `sqlite` or `postgres` for a throwaway store; `sqlite://PATH`, `postgres://USER@HOST/DATABASE`.
    #[arg(long, default_value = "sqlite")]
    pub store: String,
    /// The schema on a server; one of its own, dropped at the end, if not given.
    #[arg(long)]
    pub schema: Option<String>,
    /// Prints an object instead of a table.
    #[arg(long)]
    pub json: bool,
}

impl Common {
    /// The place that it names.
    pub async fn place(&self) -> anyhow::Result<crate::place::Place> {
        crate::place::Place::parse(&self.store, self.schema.as_deref()).await
    }
}
