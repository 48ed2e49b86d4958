//! Runs whose large values are in a folder: through restarts, outages, losses and sweeps.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use saga_blobs::{BlobFuture, BlobKey, BlobStore, Directory, Listed, SplitStore};
use saga_runtime::prelude::*;
use saga_runtime::store::{BlobId, ExecutionId, RunState};
use saga_runtime::{Client, MemoryStore, Repair};
use saga_seal::{Key, KeyId, Keys, Seal, SealedStore};
use saga_sqlite::SqliteStore;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize, Event)]
struct Go;

#[activity]
async fn film(frames: usize) -> saga_runtime::Result<String> {
    Ok("secret-frame ".repeat(frames))
}

/// Films, waits, and says how much it has.
#[workflow]
async fn movie(script: String, frames: usize) -> saga_runtime::Result<usize> {
    let film = film(frames).await?;
    event::<Go>().await;
    Ok(script.len() + film.len())
}

const FRAMES: usize = 20_000;

fn script() -> String {
    "secret-script ".repeat(10_000)
}

const SUM: usize = 13 * FRAMES + 14 * 10_000;

/// A folder whose answers can be made errors.
#[derive(Clone)]
struct Moody {
    directory: Directory,
    /// What becomes of the next puts: whether they work.
    puts: Arc<Mutex<VecDeque<bool>>>,
    failed: Arc<AtomicU32>,
}

impl Moody {
    fn new(path: &Path, puts: impl IntoIterator<Item = bool>) -> Self {
        Self {
            directory: Directory::open(path).unwrap(),
            puts: Arc::new(Mutex::new(puts.into_iter().collect())),
            failed: Arc::default(),
        }
    }
}

impl BlobStore for Moody {
    fn put(&self, key: BlobKey, bytes: Bytes) -> BlobFuture<'_, ()> {
        if self.puts.lock().unwrap().pop_front().unwrap_or(true) {
            return self.directory.put(key, bytes);
        }
        self.failed.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Err("the bucket is away".into()) })
    }

    fn get(&self, key: BlobKey) -> BlobFuture<'_, Option<Bytes>> {
        self.directory.get(key)
    }

    fn delete(&self, key: BlobKey) -> BlobFuture<'_, ()> {
        self.directory.delete(key)
    }

    fn list(&self, after: Option<BlobKey>, limit: usize) -> BlobFuture<'_, Vec<Listed>> {
        self.directory.list(after, limit)
    }
}

async fn becomes(client: &Client, id: &str, state: RunState) {
    while client.get(id).await.unwrap().state != state {
        tokio::task::yield_now().await;
    }
}

/// Whether a text stands anywhere in the folder's files.
fn readable(folder: &Path, text: &str) -> bool {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).any(|path| {
        if path.is_dir() {
            return readable(&path, text);
        }
        std::fs::read(path).unwrap().windows(text.len()).any(|window| window == text.as_bytes())
    })
}

async fn all(blobs: &impl BlobStore) -> Vec<BlobKey> {
    blobs.list(None, 100).await.unwrap().into_iter().map(|object| object.key).collect()
}

#[tokio::test]
async fn large_values_are_in_the_folder_and_nowhere_else() {
    let (database, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let open = async || {
        let store = SqliteStore::open(database.path().join("movies.db")).await.unwrap();
        SplitStore::new(store, Directory::open(folder.path()).unwrap())
    };
    let engine = Engine::builder(open().await).start().await.unwrap();
    let run = engine.client().start(movie(script(), FRAMES)).id("A").await.unwrap();
    becomes(engine.client(), "A", RunState::Waiting).await;
    let execution = run.execution();
    drop(run);
    engine.shutdown().await;
    assert!(readable(folder.path(), "secret-script") && readable(folder.path(), "secret-frame"));
    assert!(!readable(database.path(), "secret-script") && !readable(database.path(), "secret-frame"));
    let objects = all(&Directory::open(folder.path()).unwrap()).await;
    assert_eq!(objects.len(), 2);
    assert!(objects.iter().all(|key| key.execution == execution), "the key says whose it is");

    let engine = Engine::builder(open().await).start().await.unwrap();
    let run = engine.client().attach::<movie>("A").await.unwrap();
    run.send(Go).await.unwrap();
    assert_eq!(run.result().await.unwrap(), SUM, "both came back in the replay");
    engine.shutdown().await;
}

#[tokio::test]
async fn only_what_is_over_the_size_goes_there() {
    let folder = tempfile::tempdir().unwrap();
    let store = SplitStore::new(MemoryStore::new(), Directory::open(folder.path()).unwrap()).over(14 * 10_000 + 100);
    let engine = Engine::builder(store).start().await.unwrap();
    let run = engine.client().start(movie(script(), FRAMES)).id("A").await.unwrap();
    run.send(Go).await.unwrap();
    assert_eq!(run.result().await.unwrap(), SUM);
    assert_eq!(all(&Directory::open(folder.path()).unwrap()).await.len(), 1);
    engine.shutdown().await;
}

#[tokio::test]
async fn what_is_sealed_around_is_sealed_outside() {
    let folder = tempfile::tempdir().unwrap();
    let split = SplitStore::new(MemoryStore::new(), Directory::open(folder.path()).unwrap());
    let seal = Seal::new().encrypt(Keys::new(KeyId(1), Key::from_bytes([7; 32])));
    let engine = Engine::builder(SealedStore::new(split, seal)).start().await.unwrap();
    let run = engine.client().start(movie(script(), FRAMES)).id("A").await.unwrap();
    run.send(Go).await.unwrap();
    assert_eq!(run.result().await.unwrap(), SUM);
    assert_eq!(all(&Directory::open(folder.path()).unwrap()).await.len(), 2);
    assert!(!readable(folder.path(), "secret-"));
    engine.shutdown().await;
}

#[tokio::test]
async fn an_outage_costs_time_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let moody = Moody::new(folder.path(), [false, true, false, false, true]);
    let store = SplitStore::new(MemoryStore::new(), moody.clone());
    let engine = Engine::builder(store.clone()).start().await.unwrap();
    // A worker would find out by itself what became of a start without an answer.
    let client = Client::new(store);
    let error = client.start(movie(script(), FRAMES)).id("A").await.unwrap_err().to_string();
    assert!(error.contains("the object store cannot put") && error.contains("the bucket is away"), "{error}");
    assert!(client.get("A").await.unwrap_err().is_no_run());
    let run = client.start(movie(script(), FRAMES)).id("A").await.unwrap();
    run.send(Go).await.unwrap();
    assert_eq!(run.result().await.unwrap(), SUM);
    assert_eq!(moody.failed.load(Ordering::Relaxed), 3);
    let records = engine.client().show("A").await.unwrap().history().unwrap().lines();
    assert!(records.iter().any(|line| line.contains("at attempt 1")), "the step was not repeated: {records:#?}");
    engine.shutdown().await;
}

#[tokio::test]
async fn a_run_whose_object_is_gone_is_parked_and_goes_on_when_it_is_back() {
    let (database, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let open = async || {
        let store = SqliteStore::open(database.path().join("movies.db")).await.unwrap();
        SplitStore::new(store, Directory::open(folder.path()).unwrap())
    };
    let engine = Engine::builder(open().await).start().await.unwrap();
    engine.client().start(movie(script(), FRAMES)).id("A").await.unwrap();
    engine.client().start(movie(String::new(), 1)).id("small").await.unwrap();
    becomes(engine.client(), "A", RunState::Waiting).await;
    engine.shutdown().await;
    let key = all(&Directory::open(folder.path()).unwrap()).await[0];
    let (path, aside) = (folder.path().join(key.to_string()), folder.path().join("aside"));

    std::fs::rename(&path, &aside).unwrap();
    let engine = Engine::builder(open().await).start().await.unwrap();
    let client = engine.client();
    client.send("A", Go).await.unwrap();
    becomes(client, "A", RunState::Dead).await;
    let outcome = client.attach::<movie>("A").await.unwrap().outcome().await.unwrap();
    let Outcome::Dead(reason) = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains(&format!("the large payload {key} is not there")), "{reason}");

    std::fs::rename(&aside, &path).unwrap();
    client.repair("A", Repair::Resume).await.unwrap();
    assert_eq!(client.attach::<movie>("A").await.unwrap().result().await.unwrap(), SUM);
    let small = client.attach::<movie>("small").await.unwrap();
    small.send(Go).await.unwrap();
    assert_eq!(small.result().await.unwrap(), 13, "its neighbour is unharmed");

    let whole = std::fs::read_to_string(&path).unwrap();
    for (spoiled, why) in [("short", "has 5 bytes"), (whole.to_uppercase().as_str(), "is not what was put there")] {
        std::fs::write(&path, spoiled).unwrap();
        let error = client.show("A").await.unwrap_err().to_string();
        assert!(error.contains(&key.to_string()) && error.contains(why), "{error}");
    }
    engine.shutdown().await;
}

#[tokio::test]
async fn a_sweep_deletes_what_nothing_refers_to_and_is_old() {
    let folder = tempfile::tempdir().unwrap();
    let directory = Directory::open(folder.path()).unwrap();
    let store = SplitStore::new(MemoryStore::new(), directory.clone());
    let engine = Engine::builder(store.clone()).start().await.unwrap();
    let client = engine.client();
    for id in ["ended", "live"] {
        client.start(movie(script(), FRAMES)).id(id).await.unwrap();
    }
    client.send("ended", Go).await.unwrap();
    client.attach::<movie>("ended").await.unwrap().result().await.unwrap();
    becomes(client, "live", RunState::Waiting).await;
    let live = client.get("live").await.unwrap().execution;
    let orphans = [
        BlobKey { execution: live, blob: BlobId::from_bytes([1; 16]) },
        BlobKey { execution: ExecutionId::from_bytes([255; 16]), blob: BlobId::from_bytes([1; 16]) },
    ];
    for key in orphans {
        directory.put(key, Bytes::from_static(b"of a commit that never came")).await.unwrap();
    }
    let (past, future) =
        (SystemTime::now() - Duration::from_secs(86_400), SystemTime::now() + Duration::from_secs(86_400));
    let swept = store.sweep(past).await.unwrap();
    assert_eq!((swept.deleted, swept.kept), (0, 6), "all are young");
    client.delete("ended").await.unwrap();
    let swept = store.sweep(future).await.unwrap();
    assert_eq!((swept.deleted, swept.kept), (4, 2));
    let left = all(&directory).await;
    assert!(left.len() == 2 && left.iter().all(|key| key.execution == live && !orphans.contains(key)), "{left:?}");
    client.send("live", Go).await.unwrap();
    assert_eq!(client.attach::<movie>("live").await.unwrap().result().await.unwrap(), SUM);
    engine.shutdown().await;
}

#[tokio::test]
async fn a_folder_lists_its_objects_in_order_and_page_by_page() {
    let folder = tempfile::tempdir().unwrap();
    let directory = Directory::open(folder.path()).unwrap();
    let key = |execution, blob| BlobKey {
        execution: ExecutionId::from_bytes([execution; 16]),
        blob: BlobId::from_bytes([blob; 16]),
    };
    let keys = [key(1, 2), key(1, 9), key(2, 1), key(3, 3), key(3, 4)];
    for key in keys.iter().rev() {
        directory.put(*key, Bytes::from_static(b"x")).await.unwrap();
    }
    std::fs::write(folder.path().join("notes.txt"), "not ours").unwrap();
    let mut listed = Vec::new();
    loop {
        let page = directory.list(listed.last().copied(), 2).await.unwrap();
        assert!(page.len() <= 2);
        if page.is_empty() {
            break;
        }
        listed.extend(page.into_iter().map(|object| object.key));
    }
    assert_eq!(listed, keys);
    directory.put(keys[0], Bytes::from_static(b"again")).await.unwrap();
    assert_eq!(directory.get(keys[0]).await.unwrap().unwrap(), "again");
    for key in keys {
        directory.delete(key).await.unwrap();
        directory.delete(key).await.unwrap();
        assert_eq!(directory.get(key).await.unwrap(), None);
        assert_eq!(key.to_string().parse::<BlobKey>().unwrap(), key);
    }
    assert!(all(&directory).await.is_empty());
    std::fs::remove_dir_all(folder.path()).unwrap();
    assert!(directory.get(keys[0]).await.is_err(), "a folder that is away does not say that an object is gone");
}
