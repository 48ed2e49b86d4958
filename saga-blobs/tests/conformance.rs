//! A store with its large payloads elsewhere keeps the contract, around each store.

use saga_blobs::{Directory, SplitStore};
use tempfile::TempDir;

/// A folder of its own, in Cargo's folder for tests until `cargo clean`.
fn folder() -> TempDir {
    let builder = &mut tempfile::Builder::new();
    let folder = builder.prefix("split-").disable_cleanup(true).tempdir_in(env!("CARGO_TARGET_TMPDIR"));
    folder.expect("a folder can be made")
}

/// All payloads leave the store.
fn split<S>(inner: S) -> SplitStore<S> {
    SplitStore::new(inner, Directory::open(folder().path()).expect("a folder can be opened"))
}

mod memory {
    use saga_runtime::MemoryStore;

    saga_store::conformance!(|| async { crate::split(MemoryStore::new()) });
}

mod sqlite {
    use saga_sqlite::SqliteStore;

    saga_store::conformance!(|| async {
        crate::split(SqliteStore::open(crate::folder().path().join("store.db")).await.expect("a store can be opened"))
    });
}

mod postgres {
    use saga_postgres::PostgresStore;

    saga_store::conformance!(|| async {
        let builder = PostgresStore::builder(&saga_test_server::shared().url()).schema(saga_test_server::fresh_name());
        crate::split(builder.pool_size(4).connect().await.expect("a store can be opened"))
    });
}
