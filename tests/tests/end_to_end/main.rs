//! Runs from start to end, each scenario on each store.

mod failures;
mod journal;
mod retry;
