//! Runs from start to end, each scenario on each store.

mod cancel;
mod children;
mod control;
mod cut;
mod drops;
mod failures;
mod forks;
mod ids;
mod journal;
mod limits;
mod many;
mod messages;
mod nested;
mod ops;
mod patches;
mod payloads;
mod pivots;
mod planted;
mod policies;
mod rejoin;
mod repair;
mod restart;
mod retry;
mod starts;
mod status;
mod undo;
