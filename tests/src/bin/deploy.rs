//! A worker for tests of a rolling deploy: the same program as of two builds.
//!
//! `deploy URL old|new` works until its input ends, then shuts down. The new build has a step more
//! in one workflow, behind a patch, and a workflow that the old one lacks. `deploy URL start FROM TO`
//! starts runs of this range of numbers, and `deploy URL sail FROM TO` lets those end that wait for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use saga_postgres::PostgresStore;
use saga_runtime::prelude::*;
use saga_runtime::{Client, Engine};
use saga_tests::World;
use saga_tests::steps::{SagaError, step};
use serde::{Deserialize, Serialize};

/// Without it no run of `ships` ends.
#[derive(Serialize, Deserialize, Event)]
struct Sail;

static NEW: AtomicBool = AtomicBool::new(false);

fn is_new() -> bool {
    NEW.load(Ordering::Relaxed)
}

#[workflow]
async fn ships(number: u64) -> Result<u64, SagaError> {
    let new = is_new();
    if new && patched("weigh") {
        step("weigh".to_owned()).await?;
    }
    for _ in 0..4 {
        step("pack".to_owned()).await?;
        sleep(Duration::from_millis(250)).await;
    }
    event::<Sail>().await;
    Ok(number)
}

/// Only the new build has it.
#[workflow]
async fn returns(number: u64) -> Result<u64, SagaError> {
    step("fetch".to_owned()).await?;
    Ok(number)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [url, "start", from, to] => start(url, from.parse()?, to.parse()?).await,
        [url, "sail", from, to] => sail(url, from.parse()?, to.parse()?).await,
        [url, build @ ("old" | "new")] => work(url, build).await,
        _ => Err("deploy URL old|new, or deploy URL start|sail FROM TO".into()),
    }
}

async fn start(url: &str, from: u64, to: u64) -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::new(PostgresStore::connect(url).await?);
    for number in from..to {
        client.start(ships(number)).id(format!("S-{number}")).await?;
        client.start(returns(number)).id(format!("R-{number}")).await?;
    }
    Ok(())
}

async fn sail(url: &str, from: u64, to: u64) -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::new(PostgresStore::connect(url).await?);
    for number in from..to {
        client.send(format!("S-{number}"), Sail).await?;
    }
    Ok(())
}

async fn work(url: &str, build: &str) -> Result<(), Box<dyn std::error::Error>> {
    NEW.store(build == "new", Ordering::Relaxed);
    let builder = Engine::builder(PostgresStore::connect(url).await?).state(World::default()).build_id(build);
    // Leases that no test waits for: what is handed over is handed over by whoever has it.
    let builder = builder.heartbeat(Duration::from_secs(1), Duration::from_secs(3600));
    let builder = if build == "old" { builder.only::<ships>() } else { builder };
    let engine = builder.start().await?;
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;
    engine.shutdown().await;
    Ok(())
}
