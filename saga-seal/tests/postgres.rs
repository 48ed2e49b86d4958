//! A sealed store in a database keeps the contract too.

use saga_postgres::PostgresStore;
use saga_seal::{Key, KeyId, Keys, Seal, SealedStore};

/// A store in a schema of its own.
async fn fresh() -> SealedStore<PostgresStore> {
    let builder = PostgresStore::builder(&saga_test_server::shared().url()).schema(saga_test_server::fresh_name());
    let store = builder.pool_size(4).connect().await.expect("a store can be opened");
    SealedStore::new(store, Seal::new().encrypt(Keys::new(KeyId(1), Key::from_bytes([7; 32]))))
}

saga_store::conformance!(fresh);
