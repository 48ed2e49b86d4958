//! Workers for tests of sessions: what one step keeps, only its own process has.
//!
//! `sessions URL desk RUNS` starts so many runs, drives them, says when all have ended, and ends.
//! `sessions URL gpu` serves the queue until it is killed.

use std::time::Duration;

use saga_postgres::PostgresStore;
use saga_runtime::prelude::*;
use saga_runtime::{Engine, EngineBuilder, WorkerSession};
use serde::{Deserialize, Serialize};

#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
enum AskError {
    #[error(transparent)]
    Step(#[from] ActivityError<saga_runtime::Error>),
    #[error("one session had steps of several processes: {0:?}")]
    Mixed(Vec<u32>),
}

/// What a step of a session leaves for the next.
struct Kept(u32);

/// Keeps something, and says in which process.
#[activity(queue = "gpu")]
async fn keep(#[context] cx: &ActivityContext) -> saga_runtime::Result<u32> {
    let session = cx.session().ok_or_else(|| saga_runtime::Error::msg("no session").permanent())?;
    Ok(session.insert(Kept(std::process::id())).0)
}

/// Says in which process it finds what was kept; an error, if it finds nothing.
#[activity(queue = "gpu")]
async fn find(#[context] cx: &ActivityContext) -> saga_runtime::Result<u32> {
    let kept = cx.session().and_then(WorkerSession::get::<Kept>);
    Ok(kept.ok_or_else(|| saga_runtime::Error::msg("nothing was kept here").permanent())?.0)
}

/// How many sessions it needed.
#[workflow]
async fn asks() -> Result<u32, AskError> {
    for round in 1.. {
        let gpu = session("gpu");
        let tried = attempt(async {
            let mut processes = vec![keep().session(&gpu).await?];
            for _ in 0..4 {
                sleep(Duration::from_millis(150)).await;
                processes.push(find().session(&gpu).await?);
            }
            Ok::<_, ActivityError<saga_runtime::Error>>(processes)
        });
        match tried.await {
            Err(error) if error.is_session_lost() => {}
            Err(error) => return Err(error.into()),
            Ok(processes) if processes.iter().all(|process| *process == processes[0]) => return Ok(round),
            Ok(processes) => return Err(AskError::Mixed(processes)),
        }
    }
    Ok(0)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [url, "desk", runs] => desk(builder(url).await?, runs.parse()?).await,
        [url, "gpu"] => {
            let _engine =
                builder(url).await?.queues(["gpu"]).only_activities().limit_sessions("gpu", 8).start().await?;
            std::future::pending().await
        }
        _ => Err("sessions URL desk RUNS, or sessions URL gpu".into()),
    }
}

async fn builder(url: &str) -> Result<EngineBuilder, Box<dyn std::error::Error>> {
    let builder = Engine::builder(PostgresStore::connect(url).await?);
    let name = format!("process {}", std::process::id());
    Ok(builder.name(name).heartbeat(Duration::from_millis(300), Duration::from_secs(2)))
}

async fn desk(builder: EngineBuilder, runs: u32) -> Result<(), Box<dyn std::error::Error>> {
    let engine = builder.start().await?;
    let mut started = Vec::new();
    for number in 0..runs {
        started.push(engine.client().start(asks()).id(format!("A-{number}")).await?);
    }
    let mut sessions = 0;
    for run in started {
        sessions += run.result().await?;
    }
    println!("{sessions}");
    engine.shutdown().await;
    Ok(())
}
