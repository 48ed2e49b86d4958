//! What generated code names. Not part of the public API: no promise is made about it.

use std::marker::PhantomData;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserializer, Serialize, Serializer};

pub use crate::activity::{
    Activity, ActivityContext, ActivityDefinition, ActivityOptions, AsyncActivity, AsyncTxActivity, BlockingActivity,
    BlockingTxActivity, BreakerOptions, RetryOptions, StateType, UndoCall, UndoKind, Undoes,
};
pub use crate::activity::{CompletesLater, IsLater};
pub use crate::call::{ActivityCall, WorkflowCall};
pub use crate::classify::{Class, Classify};
pub use crate::durable::{Block, Durable, DurableExt, Helper, Unchecked};
pub use crate::event::{Event, RegisteredEvent};
pub use crate::ops::{Either, JoinPair, SelectPair, TryJoinPair};
pub use crate::plan;
pub use crate::probes::{DurableGiven, Given, HashOrdered, InOrder, Iterated, OrderedProbe, OtherwiseGiven};
pub use crate::registry::{RegisteredActivity, RegisteredWorkflow};
pub use crate::strict;
pub use crate::workflow::{Workflow, WorkflowDefinition};
pub use inventory;
pub use saga_store::{AsyncTransaction, Transaction, TxFuture};
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

/// What the journal can hold: inputs, outputs and errors.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be recorded in the journal",
    label = "must be `Serialize`, `Deserialize`, `Send` and own its data",
    note = "add `#[derive(serde::Serialize, serde::Deserialize)]` to `{Self}`, or pass something that has it"
)]
pub trait Recorded: Serialize + DeserializeOwned + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Send + 'static> Recorded for T {}

/// Asserts, at the place of `T`, that the journal can hold it.
pub const fn recorded<T: Recorded>() {}

/// What `compensate = …` evaluates to.
#[diagnostic::on_unimplemented(
    message = "`compensate` takes the call of an activity, not `{Self}`",
    label = "not the call of an activity",
    note = "annotate the function that undoes with `#[activity]`"
)]
pub trait UndoTarget {
    /// The undo, without its type.
    fn into_undo(self) -> UndoCall;
}

impl<A: Undoes> UndoTarget for ActivityCall<A> {
    fn into_undo(self) -> UndoCall {
        UndoCall::new(self)
    }
}

/// The undo that this call is.
pub fn undo(call: impl UndoTarget) -> UndoCall {
    call.into_undo()
}

/// Encodes inputs if they can be encoded. If one cannot, [`recorded`] has said so at its type;
/// a second error about generated code would only hide it.
pub struct Encoder<T>(pub T);

/// Chosen where `T` is serializable.
pub trait Encodes {
    /// Encodes the value.
    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
}

impl<T: Serialize> Encodes for Encoder<T> {
    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// Chosen where `T` is not: the program does not compile.
pub trait CannotEncode {
    /// Fails.
    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
}

impl<T> CannotEncode for &Encoder<T> {
    fn encode<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("not serializable"))
    }
}

/// Decodes inputs if they can be decoded. See [`Encoder`].
pub struct Decoder<T>(PhantomData<T>);

impl<T> Decoder<T> {
    /// A decoder.
    #[expect(clippy::new_without_default, reason = "only generated code makes one")]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// Chosen where `T` is deserializable.
pub trait Decodes<T> {
    /// Decodes a value.
    fn decode<'de, D: Deserializer<'de>>(&self, deserializer: D) -> Result<T, D::Error>;
}

impl<T: DeserializeOwned> Decodes<T> for Decoder<T> {
    fn decode<'de, D: Deserializer<'de>>(&self, deserializer: D) -> Result<T, D::Error> {
        T::deserialize(deserializer)
    }
}

/// Chosen where `T` is not: the program does not compile.
pub trait CannotDecode<T> {
    /// Fails.
    fn decode<'de, D: Deserializer<'de>>(&self, deserializer: D) -> Result<T, D::Error>;
}

impl<T> CannotDecode<T> for &Decoder<T> {
    fn decode<'de, D: Deserializer<'de>>(&self, _: D) -> Result<T, D::Error> {
        Err(serde::de::Error::custom("not deserializable"))
    }
}

/// What a field named by `#[transient(retry_after = field)]` can be.
#[diagnostic::on_unimplemented(
    message = "`retry_after` needs a delay, not `{Self}`",
    label = "not a delay",
    note = "make the field a `std::time::Duration` or an `Option<std::time::Duration>`"
)]
pub trait Delay {
    /// The delay, if there is one.
    fn delay(&self) -> Option<Duration>;
}

impl Delay for Duration {
    fn delay(&self) -> Option<Duration> {
        Some(*self)
    }
}

impl Delay for Option<Duration> {
    fn delay(&self) -> Option<Duration> {
        *self
    }
}

/// The delay that a field says.
pub fn retry_after(field: &impl Delay) -> Option<Duration> {
    field.delay()
}
