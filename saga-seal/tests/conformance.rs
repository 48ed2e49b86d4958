//! A sealed store keeps the contract of `saga_store::Store`.

use saga_runtime::MemoryStore;
use saga_seal::{Key, KeyId, Keys, Seal, SealedStore};

saga_store::conformance!(|| async {
    let keys = Keys::new(KeyId(1), Key::from_bytes([7; 32]));
    SealedStore::new(MemoryStore::new(), Seal::new().encrypt(keys).compress_over(64))
});
