//! Many worker processes over one `PostgreSQL` database: nothing is lost, nothing happens twice,
//! whatever befalls the processes, the server, and the way to it.

mod deploy;
mod failover;
mod idle;
mod killed;
mod migrate;
mod outage;
mod sessions;
mod share;
mod zombie;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// One fleet at a time: a machine whose processors are all taken makes a worker look dead.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
