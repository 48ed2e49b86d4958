//! What generated code names. Not part of the public API: no promise is made about it.

pub use crate::activity::{
    Activity, ActivityContext, ActivityDefinition, ActivityOptions, AsyncActivity, BlockingTxActivity, BreakerOptions,
    RetryOptions, StateType, UndoKind,
};
pub use crate::call::{ActivityCall, UndoCall, WorkflowCall};
pub use crate::classify::{Class, Classify};
pub use crate::durable::{Block, Durable, DurableExt, Helper};
pub use crate::event::Event;
pub use crate::registry::{RegisteredActivity, RegisteredWorkflow};
pub use crate::workflow::{Workflow, WorkflowDefinition};
pub use inventory;
pub use saga_store::{Transaction, TxFamily};
pub use serde;

/// Takes a function's return type apart, aliases of `Result` included.
#[diagnostic::on_unimplemented(
    message = "an activity or a workflow returns a `Result`, not `{Self}`",
    label = "not a `Result`",
    note = "write `-> Result<T, E>`, or `-> saga_runtime::Result<T>` where a typed error is not worth it"
)]
pub trait ResultType {
    /// `T` of `Result<T, E>`.
    type Ok;
    /// `E` of `Result<T, E>`.
    type Err;
}

impl<T, E> ResultType for Result<T, E> {
    type Ok = T;
    type Err = E;
}
