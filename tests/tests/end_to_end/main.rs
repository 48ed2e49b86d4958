//! Runs from start to end, each scenario on each store.

mod cancel;
mod failures;
mod journal;
mod restart;
mod retry;
mod undo;
