//! Runs on a sealed file: nothing to read for others, everything for those with the keys.

use std::path::Path;

use saga_runtime::Result;
use saga_runtime::prelude::*;
use saga_runtime::store::RunState;
use saga_seal::{Key, KeyId, Keys, Seal, SealedStore};
use saga_sqlite::{SqliteStore, rusqlite};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

#[derive(Debug, Clone, Serialize, Deserialize, Event)]
struct Approval {
    by: String,
}

#[activity(compensate = shred(letter))]
async fn write_letter(letter: String) -> Result<String> {
    Ok(format!("secret-output {letter}"))
}

#[activity]
async fn shred(letter: String) -> Result<()> {
    assert!(!letter.is_empty());
    Ok(())
}

#[activity]
async fn copy(times: usize) -> Result<String> {
    Ok("secret-large ".repeat(times))
}

#[activity(retry(max_attempts = 1))]
async fn send_letter(to: String) -> Result<()> {
    Err(saga_runtime::Error::msg(format!("secret-error: {to} has moved")).permanent())
}

/// Writes a letter, waits for its approval, and sends it, which fails.
#[workflow]
async fn post(letter: String) -> Result<String> {
    let written = write_letter(letter.clone()).await?;
    let large = copy(20_000).await?;
    let approval: Approval = event::<Approval>().await;
    if approval.by == "secret-nobody" {
        send_letter(approval.by).await?;
    }
    Ok(format!("{written} {}", large.len()))
}

fn key(byte: u8) -> Key {
    Key::from_bytes([byte; 32])
}

fn seal() -> Seal {
    Seal::new().encrypt(Keys::new(KeyId(1), key(1))).compress_over(512)
}

async fn open(folder: &TempDir, seal: Seal) -> SealedStore<SqliteStore> {
    SealedStore::new(SqliteStore::open(folder.path().join("post.db")).await.unwrap(), seal)
}

/// Whether a text stands anywhere in the folder's files.
fn readable(folder: &Path, text: &str) -> bool {
    let mut files = std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
    files.any(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
}

/// Runs a letter until it waits for its approval, and leaves.
async fn waiting_letter(folder: &TempDir, seal: Seal, id: &str) {
    let engine = Engine::builder(open(folder, seal).await).start().await.unwrap();
    let run = engine.client().start(post("secret-input".to_owned())).id(id).await.unwrap();
    while engine.client().get(id).await.unwrap().state != RunState::Waiting {
        tokio::task::yield_now().await;
    }
    drop(run);
    engine.shutdown().await;
}

#[tokio::test]
async fn nothing_that_a_run_says_can_be_read_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let sealed = Seal::new().encrypt(Keys::new(KeyId(1), key(1)));
    let engine = Engine::builder(open(&folder, sealed).await).start().await.unwrap();
    let run = engine.client().start(post("secret-input".to_owned())).id("letter-1").await.unwrap();
    run.send(Approval { by: "secret-nobody".to_owned() }).await.unwrap();
    let Outcome::Failed(error) = run.outcome().await.unwrap() else { panic!("the letter cannot be sent") };
    assert!(error.to_string().contains("secret-error: secret-nobody has moved"), "{error}");
    engine.shutdown().await;
    assert!(readable(folder.path(), "letter-1"), "ids are not sealed");
    assert!(!readable(folder.path(), "secret-"));
    assert!(!readable(folder.path(), "write_letter"));
}

#[tokio::test]
async fn a_run_goes_on_after_the_keys_were_rotated() {
    let folder = tempfile::tempdir().unwrap();
    waiting_letter(&folder, seal(), "letter-1").await;
    let rotated = Seal::new().encrypt(Keys::new(KeyId(2), key(2)).with_old(KeyId(1), key(1)));
    let engine = Engine::builder(open(&folder, rotated).await).start().await.unwrap();
    let run = engine.client().attach::<post>("letter-1").await.unwrap();
    run.send(Approval { by: "ada".to_owned() }).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "secret-output secret-input 260000");
    engine.shutdown().await;
}

#[tokio::test]
async fn a_process_that_lacks_a_key_says_which_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    waiting_letter(&folder, seal(), "letter-1").await;
    let other = Seal::new().encrypt(Keys::new(KeyId(2), key(2)));
    let engine = Engine::builder(open(&folder, other).await).start().await.unwrap();
    let shown = engine.client().show("letter-1").await.unwrap_err();
    assert!(shown.to_string().contains("sealed with key 1, which this process lacks"), "{shown}");
    let run = engine.client().attach::<post>("letter-1").await.unwrap();
    run.send(Approval { by: "ada".to_owned() }).await.unwrap();
    engine.shutdown().await;
    let both = Seal::new().encrypt(Keys::new(KeyId(2), key(2)).with_old(KeyId(1), key(1)));
    let engine = Engine::builder(open(&folder, both).await).start().await.unwrap();
    let run = engine.client().attach::<post>("letter-1").await.unwrap();
    assert_eq!(run.result().await.unwrap(), "secret-output secret-input 260000");
    engine.shutdown().await;
}

#[tokio::test]
async fn an_altered_row_parks_its_own_run_only() {
    let folder = tempfile::tempdir().unwrap();
    waiting_letter(&folder, seal(), "letter-1").await;
    waiting_letter(&folder, seal(), "letter-2").await;
    let conn = rusqlite::Connection::open(folder.path().join("post.db")).unwrap();
    let moved = "UPDATE saga_journal SET body = (SELECT other.body FROM saga_journal AS other WHERE other.run = 2 AND other.seq = 0)
        WHERE run = 1 AND seq = 0";
    assert_eq!(conn.execute(moved, []).unwrap(), 1);
    drop(conn);
    let engine = Engine::builder(open(&folder, seal()).await).start().await.unwrap();
    let mut ends = Vec::new();
    for id in ["letter-1", "letter-2"] {
        let run = engine.client().attach::<post>(id).await.unwrap();
        run.send(Approval { by: "ada".to_owned() }).await.unwrap();
        ends.push(run.outcome().await.unwrap());
    }
    let [Outcome::Dead(reason), Outcome::Completed(_)] = &ends[..] else { panic!("{ends:?}") };
    assert!(reason.contains("letter-1"), "{reason}");
    engine.shutdown().await;
}
