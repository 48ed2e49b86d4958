//! Shared code of the end-to-end tests: where stores live, a world that does what a test planned,
//! and activities that act in it; real programs in several processes, and what befalls them.

mod around;
mod database;
mod fleet;
mod history;
mod lossy;
mod orders;
mod patience;
mod place;
mod program;
mod recorder;
pub mod steps;
mod victim;
mod world;

pub use around::{Around, Begins, around};
pub use database::Database;
pub use fleet::{Fleet, Worker};
pub use history::Histories;
pub use lossy::Lossy;
pub use orders::{Figures, Orders};
pub use patience::{holds_in_time, last, until};
pub use place::{InFile, InMemory, InPostgres, Place, engine, engine_with};
pub use program::{Random, program};
pub use recorder::{Recorder, Write, write_again};
pub use victim::Victim;
pub use world::{Act, Attempt, StepError, World};

/// The README's programs, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}

/// The programs of docs/testing.md, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../docs/testing.md")]
mod testing {}
