//! Activities: the steps of a workflow, which may do anything and are retried and undone.

mod context;
mod definition;
mod error;
mod later;
mod lifeline;
mod options;
mod progress;
mod scope;
mod sends;
mod session;
mod undo;

pub use context::{ActivityContext, IdempotencyKey};
pub(crate) use context::{Beats, ContextParts};
pub use definition::{
    ActivityDefinition, AsyncTxJob, AttemptEnd, AttemptFailure, AttemptFuture, Code, StateType, TxJob,
};
pub(crate) use definition::{caught, failure, panicked};
#[cfg(feature = "test")]
pub(crate) use definition::{end, unreadable_input};
pub use error::{ActivityError, ErrorKind};
pub(crate) use later::is_later;
#[cfg(test)]
pub(crate) use later::later;
pub use later::{CompletesLater, CompletionToken, Gives, IsLater, Later};
pub(crate) use lifeline::Lifeline;
pub use options::{ActivityOptions, BreakerOptions, RetryOptions, RetryPolicy};
pub(crate) use options::{Overrides, micros};
pub(crate) use progress::{Board, Listener, Said};
#[cfg(test)]
pub(crate) use scope::alone;
pub(crate) use scope::{Common, OnBehalf, RunScope};
pub use sends::SendOnce;
pub(crate) use sends::{Courier, Sent};
pub use session::WorkerSession;
pub use undo::{UndoCall, Undoes};

use std::fmt::Display;
use std::future::Future;

use saga_store::{TxFamily, TxFuture};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::__private::Recorded;
use crate::classify::Classify;

/// Which undo an activity declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UndoKind {
    /// None.
    Nothing,
    /// One that needs the input only: known before the first attempt, and run as well when the
    /// outcome is unknown.
    FromInput,
    /// One that needs the output.
    FromOutput,
}

/// What `#[activity]` makes of a function, on a type of the same name whose fields are the
/// inputs. Not implemented by hand.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an activity",
    label = "not an activity",
    note = "annotate the function with `#[activity]`"
)]
pub trait Activity: Serialize + DeserializeOwned + Send + 'static {
    /// What a successful attempt returns.
    type Output: Recorded;
    /// What a failed attempt returns.
    type Error: Recorded + Classify + Display;

    /// The durable name: what journals call it.
    const NAME: &'static str;
    /// What the attribute says.
    const OPTIONS: ActivityOptions;
    /// Which undo the attribute declares.
    const UNDO: UndoKind;
    /// The undo as it is written; empty if there is none.
    const UNDONE_BY: &'static str = "";

    /// The activity as the engine sees it.
    fn definition() -> &'static ActivityDefinition;

    /// The undo, where it needs the input only.
    fn undo_from_input(self) -> Option<UndoCall> {
        None
    }

    /// The undo, where it needs the output.
    fn undo_from_output(self, _output: Self::Output) -> Option<UndoCall> {
        None
    }
}

/// An activity whose function is `async`.
pub trait AsyncActivity: Activity {
    /// What the function gives: the output, or the promise of it.
    type Given: Gives<Self::Output>;

    /// Runs one attempt.
    fn run(self, context: ActivityContext) -> impl Future<Output = Result<Self::Given, Self::Error>> + Send + 'static;
}

/// An activity whose function is a plain one, which may block.
pub trait BlockingActivity: Activity {
    /// What the function gives: the output, or the promise of it.
    type Given: Gives<Self::Output>;

    /// Runs one attempt, on a thread of its own.
    fn run(self, context: &ActivityContext) -> Result<Self::Given, Self::Error>;
}

/// An activity whose writes share the transaction of its journal record, on a store whose
/// transactions are used from one thread.
pub trait BlockingTxActivity: Activity {
    /// The kind of transaction.
    type Family: TxFamily;

    /// Runs one attempt within a transaction.
    fn run(
        self,
        tx: &<Self::Family as TxFamily>::Tx<'_>,
        context: &ActivityContext,
    ) -> Result<Self::Output, Self::Error>;
}

/// The same on a store whose transactions are sessions of their own: its function is `async`.
pub trait AsyncTxActivity: Activity {
    /// The kind of transaction.
    type Family: TxFamily;

    /// Runs one attempt within a transaction.
    fn run<'t>(
        self,
        tx: &'t mut <Self::Family as TxFamily>::Tx<'_>,
        context: ActivityContext,
    ) -> TxFuture<'t, Result<Self::Output, Self::Error>>;
}
