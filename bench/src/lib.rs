//! Measures the framework beside the limit of its store: what a figure means is the same on any
//! machine only as a ratio of two that were taken side by side.
//!
//! - `place`: the store that is measured, a throwaway one if none is named.
//! - `work`: the workflows and steps that are run.
//! - `load`: many runs at once, and how long each takes.
//! - `limit`: the same rows by the same statements, without the engine.
//! - `meter`: processor time, memory, statements and bytes.
//! - `figures`: what is printed.
//! - `threads`: what it all runs on.
//! - `verbs`: the measurements, one file each.

pub mod figures;
pub mod limit;
pub mod load;
pub mod meter;
pub mod place;
pub mod threads;
pub mod verbs;
pub mod work;
