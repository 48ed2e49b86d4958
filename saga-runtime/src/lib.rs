//! Typed sagas.

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
pub mod activity;
mod call;
mod classify;
mod codec;
mod durable;
mod error;
mod event;
mod registry;
mod state;
mod workflow;

pub use activity::{Activity, ActivityContext, ActivityError, RetryPolicy};
pub use call::{ActivityCall, WorkflowCall};
pub use classify::{Class, Classify};
pub use durable::{Durable, Helper};
pub use error::{Error, Result};
pub use event::Event;
pub use saga_macros::{Classify, Event, activity, durable, workflow};
pub use workflow::{Workflow, WorkflowDefinition};

/// What programs that use the framework import.
pub mod prelude {
    pub use crate::{
        ActivityContext, ActivityError, Classify, Event, RetryPolicy, activity, durable, workflow,
    };
}
