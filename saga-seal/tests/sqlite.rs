//! A sealed file keeps the contract too, and transactional steps are sealed with the rest.

use saga_runtime::Result;
use saga_runtime::prelude::*;
use saga_seal::{Key, KeyId, Keys, Seal, SealedStore};
use saga_sqlite::{SqliteStore, SqliteTx};

fn seal() -> Seal {
    Seal::new().encrypt(Keys::new(KeyId(1), Key::from_bytes([7; 32])))
}

mod contract {
    use super::{SealedStore, SqliteStore, seal};

    /// A store in a file of its own, in Cargo's folder for tests until `cargo clean`.
    async fn fresh() -> SealedStore<SqliteStore> {
        let folder = tempfile::Builder::new()
            .prefix("sealed-")
            .disable_cleanup(true)
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .expect("a folder can be made");
        let store = SqliteStore::open(folder.path().join("store.db")).await.expect("a store can be opened");
        SealedStore::new(store, seal())
    }

    saga_store::conformance!(fresh);
}

#[activity(transaction)]
fn note(#[transaction] tx: &SqliteTx<'_>, text: String) -> Result<String> {
    tx.execute("INSERT INTO notes VALUES (length(?1))", [&text])?;
    Ok(text.repeat(30_000))
}

#[workflow]
async fn notes(text: String) -> Result<usize> {
    Ok(note(text).await?.len())
}

#[tokio::test]
async fn the_record_of_a_transactional_step_is_sealed_row_by_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.db");
    let store = SqliteStore::open(&path).await.unwrap();
    store.db().setup(|tx| tx.execute_batch("CREATE TABLE notes (length INTEGER)")).await.unwrap();
    let engine = Engine::builder(SealedStore::new(store, seal())).start().await.unwrap();
    let run = engine.client().start(notes("secret-note ".to_owned())).id("note-1").await.unwrap();
    assert_eq!(run.result().await.unwrap(), 360_000);
    let shown = engine.client().show("note-1").await.unwrap();
    assert_eq!(shown.records.len(), 3);
    engine.shutdown().await;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(11).any(|window| window == b"secret-note"));
    }
}
