//! How sagas are tested: an engine in virtual time, mocks, and histories that are replayed.
//!
//! [`TestEngine`] runs a workflow in memory, with virtual time, and remembers all that was called.
//! [`replay()`] runs a stored history through today's code.
//!
//! Needs the feature `test`; put it into `[dev-dependencies]`.

mod asserts;
mod call;
mod dice;
mod diff;
mod engine;
mod executor;
mod replay;
mod rig;
mod script;
mod setup;
mod time;
mod world;

pub use call::Call;
pub use engine::TestEngine;
pub use replay::{ReplayMismatch, Replayed, replay, replay_of};
pub use script::Script;
pub use setup::TestSetup;
