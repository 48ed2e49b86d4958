//! A worker with a run among its runs that aborts the process. Tests start it again and again.
//!
//! `poison start STORE` starts the runs; `poison work STORE` works until all have ended, and says
//! how on its last line.

use std::error::Error;
use std::time::Duration;

use saga_postgres::PostgresStore;
use saga_runtime::prelude::*;
use saga_runtime::store::{RunState, Store};
use saga_runtime::{Client, Engine, EngineBuilder};
use saga_sqlite::SqliteStore;
use tokio::sync::watch;

/// Runs whose steps end at once.
const QUICK: usize = 3;

/// Runs that are in their step for as long as the poison is at work: all that its victims have in
/// common with it.
const SLOW: usize = 2;

/// Whether the poison is dead.
struct Peace(watch::Receiver<bool>);

#[activity]
async fn abort() -> saga_runtime::Result<()> {
    std::process::abort()
}

#[activity]
async fn greet(name: usize) -> saga_runtime::Result<usize> {
    Ok(name)
}

#[activity(timeout = "1h")]
async fn wait_for_peace(#[state] peace: &Peace) -> saga_runtime::Result<()> {
    peace.0.clone().wait_for(|peace| *peace).await?;
    Ok(())
}

#[workflow]
async fn poison() -> saga_runtime::Result<()> {
    greet(0).await?;
    abort().await?;
    Ok(())
}

#[workflow]
async fn quick(name: usize) -> saga_runtime::Result<usize> {
    greet(name).await?;
    Ok(greet(name).await?)
}

#[workflow]
async fn slow() -> saga_runtime::Result<()> {
    Ok(wait_for_peace().await?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(task), Some(store)) = (arguments.next(), arguments.next()) else {
        return Err("say `start` or `work`, and where the store is".into());
    };
    if store.starts_with("postgres:") {
        let schema = arguments.next().ok_or("name a schema")?;
        run(&task, PostgresStore::builder(&store).schema(&schema).pool_size(4).connect().await?).await
    } else {
        run(&task, SqliteStore::open(store).await?).await
    }
}

async fn run<S: Store>(task: &str, store: S) -> Result<(), Box<dyn Error>> {
    if task == "start" { start(&Client::new(store)).await } else { work(Engine::builder(store)).await }
}

async fn start(client: &Client) -> Result<(), Box<dyn Error>> {
    for name in 0..SLOW {
        client.start(slow()).id(format!("slow-{name}")).await?;
    }
    for name in 0..QUICK {
        client.start(quick(name)).id(format!("quick-{name}")).await?;
    }
    client.start(poison()).id("poison").await?;
    Ok(())
}

async fn work(builder: EngineBuilder) -> Result<(), Box<dyn Error>> {
    let (tell, peace) = watch::channel(false);
    let (beat, lease) = (Duration::from_millis(200), Duration::from_millis(1500));
    let engine = builder.state(Peace(peace)).max_deaths(3).heartbeat(beat, lease).start().await?;
    let client = engine.client();
    let dead = client.attach::<poison>("poison").await?.outcome().await?;
    tell.send_replace(true);
    for name in 0..SLOW {
        client.attach::<slow>(format!("slow-{name}")).await?.result().await?;
    }
    for name in 0..QUICK {
        client.attach::<quick>(format!("quick-{name}")).await?.result().await?;
    }
    let view = client.get("poison").await?;
    assert_eq!(view.state, RunState::Dead);
    engine.shutdown().await;
    println!("{dead:?}");
    Ok(())
}
