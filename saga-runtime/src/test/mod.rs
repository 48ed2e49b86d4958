//! How sagas are tested: an engine in virtual time, mocks, and histories that are replayed.
//!
//! [`TestEngine`] runs a workflow in memory, with virtual time, and remembers all that was called.
//! [`explore()`] runs a workflow again and again, with a crash or an error at each place in turn.
//! [`replay()`] runs a stored history through today's code.
//!
//! Needs the feature `test`; put it into `[dev-dependencies]`.

mod asserts;
mod call;
mod dice;
mod diff;
mod engine;
mod executor;
mod explore;
mod replay;
mod rig;
mod rules;
mod script;
mod setup;
#[doc(hidden)]
pub mod sim;
#[cfg(test)]
mod slow;
mod time;
mod world;

pub use call::Call;
pub use engine::TestEngine;
pub use explore::{Exploration, Explored, explore};
pub use replay::{ReplayMismatch, Replayed, replay, replay_of};
pub use script::Script;
pub use setup::TestSetup;
