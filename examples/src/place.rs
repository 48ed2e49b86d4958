//! Where a small example keeps its runs: where the command line says, or else in a file that goes
//! with the program.

use std::path::Path;

use anyhow::Context;
use clap::Parser;
use saga_runtime::EngineBuilder;

use crate::{OpenStore, StoreUrl};

/// Shows one thing that sagas can do, and prints what happens.
#[derive(Debug, Parser)]
struct Args {
    /// Where the runs are kept: `sqlite://PATH`, or `postgres://USER@HOST/DATABASE` [default: a file that goes with
    /// the program]
    #[arg(long, value_name = "URL")]
    store: Option<StoreUrl>,
}

/// Where a small example keeps its runs.
#[derive(Debug)]
pub struct Place {
    url: StoreUrl,
    /// Removed at the end.
    folder: tempfile::TempDir,
}

impl Place {
    /// Where `--store URL` says, or else in a file in a folder that is removed at the end. Ends the
    /// program if the command line is wrong, or asks for help.
    pub fn from_args() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("no folder for the runs")?;
        let url = Args::parse().store.unwrap_or_else(|| StoreUrl::Sqlite(folder.path().join("runs.db")));
        Ok(Self { url, folder })
    }

    /// The store, as a new process opens it.
    pub async fn open(&self) -> anyhow::Result<OpenStore> {
        OpenStore::open(&self.url).await.with_context(|| format!("cannot open the store at {}", self.url))
    }

    /// An engine over the store, to be set up and started.
    pub async fn engine(&self) -> anyhow::Result<EngineBuilder> {
        Ok(self.open().await?.engine())
    }

    /// The store's address.
    pub fn url(&self) -> &StoreUrl {
        &self.url
    }

    /// A folder that is removed at the end.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}
