//! Runs from start to end, each scenario on each store.

mod cancel;
mod cut;
mod drops;
mod failures;
mod ids;
mod journal;
mod nested;
mod ops;
mod payloads;
mod rejoin;
mod restart;
mod retry;
mod undo;
