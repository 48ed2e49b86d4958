//! The disk of the tables is full.

use saga_postgres::PostgresStore;
use saga_runtime::prelude::*;
use saga_test_server::{SmallDisk, TestServer};
use saga_tests::steps::{SagaError, step};
use saga_tests::{Act, Random, World};

use crate::shop::{Shop, session};

/// What cannot be made smaller than it is, so that it takes room.
#[activity]
async fn noise(#[state] world: &World, #[context] cx: &ActivityContext) -> Result<String, saga_tests::StepError> {
    world.attempt(cx, "noise").await?;
    let mut random = Random::new(1);
    let letter = |_| char::from_u32(u32::try_from(33 + random.below(90)).unwrap_or(33)).unwrap_or('!');
    Ok((0..200_000).map(letter).collect())
}

#[workflow]
async fn fills_the_disk() -> Result<usize, SagaError> {
    step("one".to_owned()).await?;
    let noise = noise().await?;
    step("two".to_owned()).await?;
    Ok(noise.len())
}

/// A step's outcome finds no room, and later it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_finds_no_room_waits_until_there_is_some() {
    let disk = match SmallDisk::mount(64) {
        Ok(disk) => Some(disk),
        Err(why) => {
            println!("no disk can be mounted here ({why}): a trigger stands for the full one");
            None
        }
    };
    let server = std::sync::Arc::new(TestServer::start_private(""));
    let operator = session(&server.url()).await;
    if let Some(disk) = &disk {
        let folder = disk.folder().display();
        operator.batch_execute(&format!("CREATE TABLESPACE small LOCATION '{folder}'")).await.unwrap();
    }
    let on = if disk.is_some() { "TABLESPACE small" } else { "" };
    operator.batch_execute(&format!("CREATE DATABASE shop {on}")).await.unwrap();
    let operator = session(&server.url_of("shop")).await;

    let world = World::default();
    world.plan("one", [Act::Wait]);
    let store = PostgresStore::connect(&server.url_of("shop")).await.unwrap();
    let engine = Engine::builder(store).state(world.clone()).start().await.unwrap();
    let run = engine.client().start(fills_the_disk()).id("ORD-1").await.unwrap();
    world.began("one").await;
    let shop = Shop { server, world, operator };
    match &disk {
        Some(disk) => disk.fill(),
        None => shop.operate(NO_ROOM).await,
    }
    shop.world.open("one");
    shop.logs("No space left on device", 2).await;
    match &disk {
        Some(disk) => disk.make_room(),
        None => shop.operate("DROP TRIGGER disk ON saga.blobs").await,
    }
    assert_eq!(run.result().await.unwrap(), 200_000);
    assert_eq!(shop.world.log(), ["one", "noise", "two"]);
    engine.shutdown().await;
}

const NO_ROOM: &str = "CREATE FUNCTION saga.no_room() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$;
     CREATE TRIGGER disk BEFORE INSERT ON saga.blobs EXECUTE FUNCTION saga.no_room()";
