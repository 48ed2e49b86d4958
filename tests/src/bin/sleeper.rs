//! A worker for tests of what costs nothing: it drives runs that sleep.
//!
//! `sleeper URL template` leaves one sleeping run behind; `sleeper URL work` works until it is
//! killed.

use std::time::Duration;

use saga_postgres::PostgresStore;
use saga_runtime::Engine;
use saga_runtime::prelude::*;
use saga_runtime::store::RunState;
use saga_tests::World;

#[workflow]
async fn sleeps_a_day() -> Result<(), saga_tests::steps::SagaError> {
    sleep(Duration::from_secs(86_400)).await;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, mode] = &arguments[..] else { return Err("sleeper URL template|work".into()) };
    let store = PostgresStore::connect(url).await?;
    let engine = Engine::builder(store).state(World::default()).start().await?;
    if mode == "work" {
        std::future::pending::<()>().await;
    }
    let run = engine.client().start(sleeps_a_day()).id("template").await?;
    while run.view().await?.state != RunState::Waiting {
        tokio::task::yield_now().await;
    }
    engine.shutdown().await;
    Ok(())
}
