//! The reference store keeps every promise of the contract.

use saga_runtime::MemoryStore;

saga_store::conformance!(|| async { MemoryStore::new() });
