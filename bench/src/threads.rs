//! The runtime that a store is measured on.

use tokio::runtime::{Builder, Runtime};

/// A runtime for this store, as one would set it up in production: beside the writer of SQLite, which is a
/// thread of its own and busy for as long as runs are, one thread less than there are cores.
/// `TOKIO_WORKER_THREADS` overrides.
///
/// # Errors
///
/// If the system gives no threads.
pub fn runtime(store: &str) -> std::io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    let cores = std::thread::available_parallelism().map_or(1, Into::into);
    if store.starts_with("sqlite") && std::env::var_os("TOKIO_WORKER_THREADS").is_none() {
        builder.worker_threads((cores - 1).max(1));
    }
    builder.enable_all().build()
}
