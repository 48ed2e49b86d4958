//! The store keeps the contract of `saga_store::Store`.

use saga_sqlite::SqliteStore;

/// A store in a file of its own. The suite keeps the store alone, so the file stays in Cargo's
/// folder for tests until `cargo clean`.
async fn fresh() -> SqliteStore {
    let folder = tempfile::Builder::new()
        .prefix("conformance-")
        .disable_cleanup(true)
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .expect("a folder can be made");
    SqliteStore::open(folder.path().join("store.db")).await.expect("a store can be opened")
}

saga_store::conformance!(fresh);
