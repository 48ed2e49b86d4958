//! Runs from start to end, each scenario on each store.

mod cancel;
mod control;
mod cut;
mod drops;
mod failures;
mod ids;
mod journal;
mod nested;
mod ops;
mod payloads;
mod planted;
mod rejoin;
mod restart;
mod retry;
mod starts;
mod undo;
