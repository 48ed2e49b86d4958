//! `PostgreSQL` servers for the tests of this repository: the one that `SAGA_TEST_POSTGRES_URL`
//! names, or private ones in temporary folders that go with the process.
//!
//! - `programs`: where the server's programs are, and as whom they run.
//! - `disk`: a small one, that can be full.
//! - `server`: a server, what can befall it, and a standby of it.
//! - `proxy`: the way to it, which can be cut.

mod disk;
mod programs;
mod proxy;
mod server;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

pub use disk::SmallDisk;
pub use proxy::Proxy;
pub use server::{TestServer, free_port};

/// The server that all tests of this process share. No test stops it.
pub fn shared() -> &'static TestServer {
    static SERVER: OnceLock<TestServer> = OnceLock::new();
    SERVER.get_or_init(TestServer::start)
}

/// A name for a schema, a role or a database that no other test has, in this process or another.
pub fn fresh_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}
