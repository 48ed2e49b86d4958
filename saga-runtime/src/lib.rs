//! Typed sagas: ordinary async functions, annotated with `#[activity]` and `#[workflow]`, become
//! durable, replayable state machines whose completed steps are undone, in reverse, durably, when
//! something fails.
//!
//! Three ideas carry everything. **A call is a value**: calling an activity or a workflow runs
//! nothing and returns a typed, lazy call. **Only durable things can be awaited in a workflow**;
//! anything else is a type error. **Cancellation is drop**: a cancelled run's future is dropped at
//! its await, then its undo steps run.
//!
//! Data flows one way: calls → context → journal → store. The modules, in reading order:
//! [`mod@activity`], `workflow`, `call`, `durable` and `ops` are what users write; `context` and
//! `machine` are how a run is remembered and taken back, without IO; `engine` drives runs on a
//! worker; `client` starts and inspects them; `memory` is the reference store.

// Macros name this crate by its name, in its own tests too.
#[cfg(test)]
extern crate self as saga_runtime;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
pub mod activity;
mod awaited;
mod built_in;
mod by_execution;
mod call;
mod classify;
mod client;
mod clock;
mod codec;
#[doc(hidden)]
pub mod compat;
mod context;
mod derive;
mod draw;
mod durable;
mod endings;
mod engine;
mod entropy;
mod erased;
mod errand;
mod error;
mod event;
mod externalize;
mod few;
mod hex;
mod history;
pub mod layer;
mod line;
mod machine;
mod memory;
pub mod ops;
mod place;
pub mod plan;
mod probes;
mod registry;
mod seldom;
mod session;
mod shape;
mod spawn;
mod state;
#[doc(hidden)]
pub mod strict;
#[cfg(feature = "test")]
pub mod test;
mod watchers;
mod workflow;

pub use activity::{
    Activity, ActivityContext, ActivityError, CompletionToken, Later, RetryPolicy, SendOnce, WorkerSession,
};
pub use call::{ActivityCall, WorkflowCall};
pub use classify::{Class, Classify};
pub use client::{
    Action, Bulk, BulkReport, Client, ClientError, Fork, Outcome, Repair, RunDetails, RunError, RunHandle, RunUpdate,
    RunWatch, Sending, StartRun, StartWithin, UndoError,
};
pub use codec::{Codec, CodecError, PAYLOAD_LIMIT};
pub use durable::{Durable, Helper};
pub use engine::{Engine, EngineBuilder, Limit, StartError, Tally};
pub use error::{Error, Result};
pub use event::{Event, SendError};
pub use history::{History, HistoryError};
pub use memory::MemoryStore;
pub use ops::{
    ChildError, ChildHandle, Elapsed, attempt, continue_as_new, deprecate_patch, event, for_each_concurrent, join_all,
    new_uuid, now, patched, pivot, random, send, session, set_status, side_effect, sleep, sleep_until, spawn,
    try_join_all, undo,
};
pub use plan::Plan;
pub use saga_macros::{Classify, Event, activity, durable, workflow};
/// The storage contract, for what clients list and show.
pub use saga_store as store;
pub use saga_store::Timestamp;
#[cfg(feature = "test")]
pub use saga_store::conformance;
pub use saga_store::wire::ParentEnd;
pub use session::Session;
pub use workflow::{Workflow, WorkflowDefinition};

/// What programs that use the framework import.
pub mod prelude {
    pub use crate::{
        ActivityContext, ActivityError, ChildError, ChildHandle, Classify, Client, Elapsed, Engine, Event, MemoryStore,
        Outcome, ParentEnd, RetryPolicy, RunError, SendError, Timestamp, activity, attempt, continue_as_new,
        deprecate_patch, durable, event, for_each_concurrent, join, join_all, new_uuid, now, patched, pivot, random,
        select, send, session, set_status, side_effect, sleep, sleep_until, spawn, try_join, try_join_all, undo,
        workflow,
    };
}
