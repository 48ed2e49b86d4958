//! An activity as the engine sees it: without its types.

use std::any::TypeId;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;

use futures_util::FutureExt as _;
use futures_util::future::{Either, select};
use saga_store::wire::{Failure, FailureKind, Payload, UndoStep};
use saga_store::{AsyncTxFn, BlockingTxFn, TxEnd, TxFamily, TxFuture, TxStep, TxVerdict};

use super::{
    Activity, ActivityContext, ActivityOptions, AsyncActivity, AsyncTxActivity, BlockingActivity, BlockingTxActivity,
    Gives, UndoCall, UndoKind, later,
};
use crate::classify::{Class, Classify};
use crate::codec::{self, CodecError, Encoder};
use crate::shape::Described;

/// A type that an activity takes as `#[state]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateType {
    /// What it is called in an error message.
    pub name: &'static str,
    /// Which type it is.
    pub id: TypeId,
}

impl StateType {
    /// The state type `T`.
    pub fn of<T: 'static>() -> Self {
        Self { name: std::any::type_name::<T>(), id: TypeId::of::<T>() }
    }
}

/// How an attempt ended: with an encoded output, or a failure.
pub type AttemptEnd = Result<Payload, AttemptFailure>;

/// One attempt on its way.
pub type AttemptFuture = Pin<Box<dyn Future<Output = AttemptEnd> + Send>>;

/// A failed attempt: what is journalled, and how it is classed.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptFailure {
    /// What is journalled.
    pub failure: Failure,
    /// Whether it is retried, and whether something may have happened.
    pub class: Class,
}

impl AttemptFailure {
    /// What a [layer](crate::layer) fails an attempt with: `class` says whether it is repeated and
    /// whether the activity may have had an effect. The workflow sees [`ActivityError::Layer`].
    ///
    /// [`ActivityError::Layer`]: super::ActivityError::Layer
    pub fn from_layer(class: Class, message: impl Into<String>) -> Self {
        Self::engine(FailureKind::Layer, class, message)
    }

    pub(crate) fn engine(kind: FailureKind, class: Class, message: impl Into<String>) -> Self {
        Self { failure: Failure { kind, message: message.into(), error: None }, class }
    }
}

/// A transactional attempt: what the code needs, and what to do with its end.
pub struct TxJob {
    /// The input.
    pub input: Payload,
    /// What the code may ask.
    pub context: ActivityContext,
    /// Turns the code's end into what the store shall do.
    pub finish: Box<dyn FnMut(AttemptEnd) -> TxVerdict + Send>,
}

/// An attempt whose transaction is a session of its own.
pub struct AsyncTxJob {
    /// The input.
    pub input: Payload,
    /// What the code may ask.
    pub context: ActivityContext,
    /// Begins to count the attempt's time; ends, with the failure, when that is over.
    pub limit: Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = AttemptFailure> + Send>> + Send>,
    /// Takes the code's end.
    pub finish: Box<dyn FnOnce(AttemptEnd) + Send>,
}

/// How an activity's code is run.
#[derive(Debug, Clone, Copy)]
pub enum Code {
    /// As a future, on the engine's runtime.
    Async(fn(ActivityContext, Payload) -> AttemptFuture),
    /// As a plain function, on a thread that may block.
    Blocking(fn(&ActivityContext, &Payload) -> AttemptEnd),
    /// Inside the journal's transaction.
    Transaction {
        /// The kind of store that it needs.
        store_kind: &'static str,
        /// Packs an attempt for the store.
        pack: fn(TxJob) -> TxStep,
    },
    /// As a future, inside a transaction that its journal record then ends.
    AsyncTransaction {
        /// The kind of store that it needs.
        store_kind: &'static str,
        /// Packs an attempt for the store.
        pack: fn(AsyncTxJob) -> TxStep,
    },
}

/// An activity as the engine sees it. Made by `#[activity]` and registered at link time.
#[derive(Debug)]
pub struct ActivityDefinition {
    /// The durable name.
    pub name: &'static str,
    /// The module in which it is declared.
    pub module: &'static str,
    /// What the attribute says.
    pub options: ActivityOptions,
    /// Which undo the attribute declares.
    pub undo: UndoKind,
    /// The undo as it is written; empty if there is none.
    pub undone_by: &'static str,
    /// How its code is run.
    pub code: Code,
    pub(crate) type_name: fn() -> &'static str,
    pub(crate) states: fn() -> Vec<StateType>,
    /// What is recorded for it: input, output and error.
    pub(crate) describe: fn() -> [(&'static str, Described); 3],
    pub(crate) undo_from_output: fn(&Payload, &Payload) -> Result<Option<UndoCall>, CodecError>,
}

impl ActivityDefinition {
    /// The definition of an `async` activity. `states` lists its `#[state]` types.
    pub const fn asynchronous<A: AsyncActivity>(module: &'static str, states: fn() -> Vec<StateType>) -> Self {
        Self::of::<A>(module, states, Code::Async(run_async::<A>))
    }

    /// The definition of an activity that is a plain function.
    pub const fn blocking<A: BlockingActivity>(module: &'static str, states: fn() -> Vec<StateType>) -> Self {
        Self::of::<A>(module, states, Code::Blocking(run_blocking::<A>))
    }

    /// The definition of a transactional activity for single-threaded transactions.
    pub const fn blocking_tx<A: BlockingTxActivity>(module: &'static str, states: fn() -> Vec<StateType>) -> Self {
        let code = Code::Transaction { store_kind: <A::Family as TxFamily>::STORE_KIND, pack: pack_tx::<A> };
        Self::of::<A>(module, states, code)
    }

    /// The definition of a transactional activity for transactions that are awaited.
    pub const fn async_tx<A: AsyncTxActivity>(module: &'static str, states: fn() -> Vec<StateType>) -> Self {
        let code = Code::AsyncTransaction { store_kind: <A::Family as TxFamily>::STORE_KIND, pack: pack_async_tx::<A> };
        Self::of::<A>(module, states, code)
    }

    const fn of<A: Activity>(module: &'static str, states: fn() -> Vec<StateType>, code: Code) -> Self {
        Self {
            name: A::NAME,
            module,
            options: A::OPTIONS,
            undo: A::UNDO,
            undone_by: A::UNDONE_BY,
            code,
            type_name: std::any::type_name::<A>,
            states,
            describe: describe::<A>,
            undo_from_output: undo_from_output::<A>,
        }
    }

    /// The undo of an attempt with this input and output.
    pub(crate) fn undo_for(
        &self,
        input: &Payload,
        output: &Payload,
        encoder: Encoder,
    ) -> Result<Option<Box<UndoStep>>, CodecError> {
        let undo = codec::within(encoder.codec, || (self.undo_from_output)(input, output))?;
        undo.map(|undo| undo.into_step(encoder)).transpose()
    }

    /// Whether its effect and its record are one transaction.
    pub fn is_transaction(&self) -> bool {
        matches!(self.code, Code::Transaction { .. } | Code::AsyncTransaction { .. })
    }

    /// Whether its code runs within the store's commit.
    pub(crate) fn runs_in_commit(&self) -> bool {
        matches!(self.code, Code::Transaction { .. })
    }

    /// The kind of store through which it writes, if it does.
    pub(crate) fn store_kind(&self) -> Option<&'static str> {
        match self.code {
            Code::Async(_) | Code::Blocking(_) => None,
            Code::Transaction { store_kind, .. } | Code::AsyncTransaction { store_kind, .. } => Some(store_kind),
        }
    }

    /// Whether it is declared at module level, not inside a function's body.
    pub fn is_module_level(&self) -> bool {
        crate::place::is_module_level(self.module, (self.type_name)())
    }
}

fn describe<A: Activity>() -> [(&'static str, Described); 3] {
    [("input", Described::of::<A>()), ("output", Described::of::<A::Output>()), ("error", Described::of::<A::Error>())]
}

fn run_async<A: AsyncActivity>(context: ActivityContext, input: Payload) -> AttemptFuture {
    let decoded = codec::decode::<A>(&input);
    let encoder = context.encoder();
    Box::pin(async move {
        match decoded {
            Ok(input) => end::<A>(encoder, input.run(context).await),
            Err(error) => Err(unreadable_input::<A>(&error)),
        }
    })
}

/// The same future, whose panic is a failure of the attempt.
pub(crate) fn caught(making: impl Future<Output = AttemptEnd> + Send + 'static) -> AttemptFuture {
    let making = AssertUnwindSafe(making).catch_unwind();
    Box::pin(making.map(|end| end.unwrap_or_else(|panic| Err(panicked(panic.as_ref())))))
}

fn run_blocking<A: BlockingActivity>(context: &ActivityContext, input: &Payload) -> AttemptEnd {
    match codec::decode::<A>(input) {
        Ok(input) => end::<A>(context.encoder(), input.run(context)),
        Err(error) => Err(unreadable_input::<A>(&error)),
    }
}

fn pack_tx<A: BlockingTxActivity>(mut job: TxJob) -> TxStep {
    TxStep::new::<A::Family>(BlockingTxFn(Box::new(move |tx| {
        let ended = match codec::decode::<A>(&job.input) {
            Ok(input) => {
                let run = AssertUnwindSafe(|| end::<A>(job.context.encoder(), input.run(tx, &job.context)));
                std::panic::catch_unwind(run).unwrap_or_else(|panic| Err(panicked(panic.as_ref())))
            }
            Err(error) => Err(unreadable_input::<A>(&error)),
        };
        (job.finish)(ended)
    })))
}

fn pack_async_tx<A: AsyncTxActivity>(job: AsyncTxJob) -> TxStep {
    TxStep::awaiting::<A::Family>(AsyncTxFn(Box::new(move |tx| {
        let AsyncTxJob { input, context, limit, finish } = job;
        let encoder = context.encoder();
        let code = codec::decode::<A>(&input).map(|input| input.run(tx, context));
        Box::pin(async move {
            let ended = match code {
                Ok(code) => within_limit::<A>(encoder, code, limit()).await,
                Err(error) => Err(unreadable_input::<A>(&error)),
            };
            let wish = if ended.is_ok() { TxEnd::Keep } else { TxEnd::RollBack };
            finish(ended);
            wish
        })
    })))
}

async fn within_limit<A: Activity>(
    encoder: Encoder,
    code: TxFuture<'_, Result<A::Output, A::Error>>,
    limit: impl Future<Output = AttemptFailure> + Unpin,
) -> AttemptEnd {
    match select(AssertUnwindSafe(code).catch_unwind(), limit).await {
        Either::Left((Ok(result), _)) => end::<A>(encoder, result),
        Either::Left((Err(panic), _)) => Err(panicked(panic.as_ref())),
        Either::Right((failure, _)) => Err(failure),
    }
}

pub(crate) fn end<A: Activity>(encoder: Encoder, result: Result<impl Gives<A::Output>, A::Error>) -> AttemptEnd {
    let output = match result {
        Ok(given) => match given.given() {
            Some(output) => output,
            None => return Ok(later::later()),
        },
        Err(error) => return Err(failure::<A>(encoder, &error)),
    };
    encoder.encode(&output).map_err(|error| {
        let message = format!("the output of `{}` cannot be recorded: {error}", A::NAME);
        AttemptFailure::engine(FailureKind::Payload, Class::TRANSIENT, message)
    })
}

/// The failure of an attempt that returned this error.
pub(crate) fn failure<A: Activity>(encoder: Encoder, error: &A::Error) -> AttemptFailure {
    let class = error.class();
    let message = error.to_string();
    let (message, error) = match encoder.encode(error) {
        Ok(payload) => (message, Some(payload)),
        Err(why) => (format!("{message} (the error itself cannot be recorded: {why})"), None),
    };
    AttemptFailure { failure: Failure { kind: FailureKind::Returned, message, error }, class }
}

pub(crate) fn unreadable_input<A: Activity>(error: &CodecError) -> AttemptFailure {
    let message = format!("`{}` cannot read its recorded input: {error}", A::NAME);
    AttemptFailure::engine(FailureKind::Payload, Class::Permanent, message)
}

/// The failure of an attempt that panicked.
pub(crate) fn panicked(panic: &(dyn std::any::Any + Send)) -> AttemptFailure {
    let message = crate::codec::panic_message(panic);
    AttemptFailure::engine(FailureKind::Panicked, Class::TRANSIENT, message)
}

fn undo_from_output<A: Activity>(input: &Payload, output: &Payload) -> Result<Option<UndoCall>, CodecError> {
    let input = codec::decode::<A>(input)?;
    let output = codec::decode::<A::Output>(output)?;
    Ok(input.undo_from_output(output))
}
