//! Work on another machine: films are rendered where the graphics cards are. Two engines share a
//! store, each with a machine of its own to run on: one drives the films, the other serves the
//! queue `gpu` and nothing else. In earnest they are two programs over one database. A film that
//! nobody shows is deleted by an undo step, which runs where the film is driven. A series is made in
//! a session: its scenes are rendered by the worker that has loaded the props, and by no other; if that
//! worker is lost they are loaded anew by the next.
//!
//! Run it: `cargo run --bin gpu_queue`

use saga_examples::Place;
use saga_runtime::WorkerSession;
use saga_runtime::prelude::*;
use serde::{Deserialize, Serialize};

/// Where this engine runs.
#[derive(Debug, Clone, Copy)]
struct Machine(&'static str);

#[derive(Debug, thiserror::Error, Serialize, Deserialize, Classify)]
enum StudioError {
    #[error("nobody shows {film}")]
    #[permanent]
    NotShown { film: String },
    #[error("no props are loaded here")]
    #[permanent]
    NoProps,
}

#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
enum FilmError {
    #[error(transparent)]
    Studio(#[from] ActivityError<StudioError>),
}

#[activity]
async fn write_script(#[state] machine: &Machine, scene: String) -> Result<String, StudioError> {
    println!("{}: the script of {scene}", machine.0);
    Ok(format!("script of {scene}"))
}

#[activity(queue = "gpu", timeout = "10m", compensate = delete(output))]
async fn render(#[state] machine: &Machine, script: String) -> Result<String, StudioError> {
    println!("{}: render the {script}", machine.0);
    Ok(format!("film by the {script}"))
}

#[activity]
async fn delete(#[state] machine: &Machine, film: String) -> Result<(), StudioError> {
    println!("{}: delete the {film}", machine.0);
    Ok(())
}

#[activity]
async fn distribute(#[state] machine: &Machine, film: String) -> Result<(), StudioError> {
    println!("{}: distribute the {film}", machine.0);
    if film.ends_with("rain") { Err(StudioError::NotShown { film }) } else { Ok(()) }
}

/// Into the memory of the card, where the next steps of the session find them.
#[activity(queue = "gpu", timeout = "10m")]
async fn load_props(
    #[state] machine: &Machine,
    #[context] cx: &ActivityContext,
    of: String,
) -> Result<(), StudioError> {
    println!("{}: load the props of {of}", machine.0);
    if let Some(session) = cx.session() {
        session.insert(Props(of));
    }
    Ok(())
}

#[activity(queue = "gpu", timeout = "10m")]
async fn render_scene(
    #[state] machine: &Machine,
    #[context] cx: &ActivityContext,
    scene: u32,
) -> Result<String, StudioError> {
    let props = cx.session().and_then(WorkerSession::get::<Props>).ok_or(StudioError::NoProps)?;
    println!("{}: render scene {scene} with the props of {}", machine.0, props.0);
    Ok(format!("scene {scene}"))
}

struct Props(String);

#[workflow]
async fn series(of: String) -> Result<String, FilmError> {
    // A scene that kills its worker shall not kill all of them.
    let mut left = 3;
    loop {
        let card = session("gpu");
        let tried = attempt(async {
            load_props(of.clone()).session(&card).await?;
            let first = render_scene(1).session(&card).await?;
            Ok::<_, ActivityError<StudioError>>(format!("{first}, {}", render_scene(2).session(&card).await?))
        });
        match tried.await {
            Err(error) if error.is_session_lost() && left > 0 => left -= 1,
            made => return Ok(made?),
        }
    }
}

#[workflow]
async fn film(scene: String) -> Result<String, FilmError> {
    let script = write_script(scene).await?;
    let film = render(script).await?;
    distribute(film.clone()).await?;
    Ok(film)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    saga_examples::init_logging();
    let place = Place::from_args()?;
    let store = place.open().await?;
    let desk = store.clone().engine().state(Machine("desk")).only::<film>().only::<series>().start().await?;
    let client = desk.client();
    let dawn = client.start(film("dawn".to_owned())).await?;
    // It waits for a worker of the queue: here comes one.
    let farm = store
        .engine()
        .state(Machine("farm"))
        .queues(["gpu"])
        .limit_sessions("gpu", 1)
        .only_activities()
        .start()
        .await?;
    println!("{}", dawn.result().await?);
    match client.start(film("rain".to_owned())).await?.outcome().await? {
        Outcome::Failed(error) => println!("{error}"),
        other => println!("{other:?}"),
    }
    println!("{}", client.start(series("dusk".to_owned())).await?.result().await?);
    desk.shutdown().await;
    farm.shutdown().await;
    Ok(())
}
