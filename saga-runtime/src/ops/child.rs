//! Awaiting and spawning child runs.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use saga_store::RunId;
use saga_store::wire::{ChildEnd, ChildScheduled, Entry, OpId, Recipient, UndoPlan};
use serde::{Deserialize, Serialize};

use super::send;
use crate::activity::UndoKind;
use crate::call::WorkflowCall;
use crate::codec;
use crate::context::{self, Arrival, Decision};
use crate::derive;
use crate::durable::{Durable, sealed::Sealed};
use crate::event::{Event, SendError};
use crate::workflow::Workflow;

/// Why a child run has no result.
///
/// Serializable, so that a workflow's error can hold it (`#[from] ChildError<ShipError>`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ChildError<E> {
    /// The child returned this error; every undo of it has run.
    Failed(E),
    /// It was cancelled; every undo of it has run.
    Cancelled,
    /// An operator ended it, without undo.
    Terminated,
    /// It needs an operator: this is why.
    Dead(String),
    /// It was never started: its id belongs to another run, or its input cannot be recorded.
    NotStarted(String),
}

impl<E> ChildError<E> {
    /// The child's own error, if it returned one.
    pub fn as_failed(&self) -> Option<&E> {
        match self {
            Self::Failed(error) => Some(error),
            _ => None,
        }
    }
}

impl<E: fmt::Display> fmt::Display for ChildError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.fmt(f),
            Self::Cancelled => f.write_str("the child run was cancelled"),
            Self::Terminated => f.write_str("the child run was terminated"),
            Self::Dead(reason) => write!(f, "the child run needs an operator: {reason}"),
            Self::NotStarted(why) => write!(f, "the child run was not started: {why}"),
        }
    }
}

impl<E: fmt::Display + fmt::Debug> std::error::Error for ChildError<E> {}

impl<W: Workflow> Sealed for WorkflowCall<W> {}

/// A workflow call awaited in a workflow is a child run. Costs one entry in the record that
/// schedules it, a start, and a record when it has ended.
#[diagnostic::do_not_recommend]
impl<W: Workflow> Durable for WorkflowCall<W> {
    type Output = Result<W::Output, ChildError<W::Error>>;
    type Operation = ChildFuture<W>;

    fn into_operation(self) -> ChildFuture<W> {
        ChildFuture(State::New(Some(self)))
    }
}

/// Starts a child run now, to be awaited later: `let child = spawn(ship_order(order)).await?`.
///
/// The start is part of the record that the workflow makes anyway, and is sent once that is
/// durable; the await ends at once. Dropping the handle lets the child go on by itself; when the
/// workflow fails or is cancelled while it holds the handle, the child is cancelled and undone.
/// A crash repeats nothing: the child's ids follow from the place of the call. Costs an entry in that
/// record, and a start; its end costs the parent a record when it is awaited.
///
/// # Errors
///
/// [`ChildError::NotStarted`] if the input cannot be recorded or the id cannot name a run. That
/// an id belongs to another run is found when the start is delivered: awaiting the child says so.
///
/// ```
/// # use saga_runtime::prelude::*;
/// # #[workflow]
/// # async fn ship_order(number: u32) -> saga_runtime::Result<u32> { Ok(number) }
/// #[workflow]
/// async fn order(number: u32) -> saga_runtime::Result<u32> {
///     let shipping = spawn(ship_order(number)).await?;
///     sleep(std::time::Duration::from_secs(1)).await;
///     Ok(shipping.await?)
/// }
/// ```
pub fn spawn<W: Workflow>(call: WorkflowCall<W>) -> Spawn<W> {
    Spawn(call)
}

/// What [`spawn`] returns: await it in a workflow.
#[must_use = "a child is started when a workflow awaits this: add `.await`"]
#[derive(Debug)]
pub struct Spawn<W: Workflow>(WorkflowCall<W>);

impl<W: Workflow> Sealed for Spawn<W> {}

#[diagnostic::do_not_recommend]
impl<W: Workflow> Durable for Spawn<W> {
    type Output = Result<ChildHandle<W>, ChildError<W::Error>>;
    type Operation = SpawnFuture<W>;

    fn into_operation(self) -> SpawnFuture<W> {
        SpawnFuture(Some(self.0))
    }
}

/// An awaited [`Spawn`].
#[doc(hidden)]
pub struct SpawnFuture<W: Workflow>(Option<WorkflowCall<W>>);

// It holds no future.
impl<W: Workflow> Unpin for SpawnFuture<W> {}

impl<W: Workflow> Future for SpawnFuture<W> {
    type Output = Result<ChildHandle<W>, ChildError<W::Error>>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(call) = self.0.take() else { return Poll::Pending };
        Poll::Ready(schedule(call).map(|(op, id)| ChildHandle { id, held: Held { op }, workflow: PhantomData }))
    }
}

/// A child run that [`spawn`] has started: await it for its result, or await `&mut child` to keep
/// it. Dropping it lets the child go on by itself.
#[must_use = "dropping a child's handle lets the child go on by itself"]
pub struct ChildHandle<W> {
    id: RunId,
    held: Held,
    workflow: PhantomData<fn() -> W>,
}

impl<W: Workflow> ChildHandle<W> {
    /// The child run's name, by which clients find it.
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// Asks the child to stop and to undo its steps: awaiting it then gives
    /// [`ChildError::Cancelled`], unless it ended before. One entry in the workflow's next record.
    pub fn cancel(&self) {
        let op = &self.held.op;
        context::with("a child's `cancel`", |cx| cx.note(Entry::ChildCancelled(op.clone())));
    }

    /// Sends the child an event: to its newest execution, also if the child has not been started yet.
    /// Recorded and delivered as by [`send`](crate::send()); dropped if the child has ended.
    ///
    /// # Errors
    ///
    /// [`SendError::Event`] if the event cannot be recorded.
    pub fn send<E: Event>(&self, event: E) -> Result<(), SendError> {
        let event = send::message(&event)?;
        let to = Recipient::Child(self.held.op.clone());
        context::with("a child's `send`", |cx| send::note(cx, to, event))
    }

    /// Lets the child go on by itself, whatever becomes of this workflow. So does dropping the
    /// handle, unless the workflow, or the `attempt` around, fails in the same breath.
    pub fn detach(self) {
        let op = self.held.op.clone();
        context::with("a child's `detach`", |cx| cx.detach_for_good(&op));
    }
}

impl<W> fmt::Debug for ChildHandle<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildHandle").field("id", &self.id).finish_non_exhaustive()
    }
}

impl<W> Sealed for ChildHandle<W> {}

#[diagnostic::do_not_recommend]
impl<W: Workflow> Durable for ChildHandle<W> {
    type Output = Result<W::Output, ChildError<W::Error>>;
    type Operation = ChildFuture<W>;

    fn into_operation(self) -> ChildFuture<W> {
        ChildFuture(State::Waiting(self.held))
    }
}

impl<W> Sealed for &mut ChildHandle<W> {}

#[diagnostic::do_not_recommend]
impl<W: Workflow> Durable for &mut ChildHandle<W> {
    type Output = Result<W::Output, ChildError<W::Error>>;
    type Operation = BorrowedChildFuture<W>;

    fn into_operation(self) -> BorrowedChildFuture<W> {
        BorrowedChildFuture { op: self.held.op.clone(), workflow: PhantomData }
    }
}

/// A child that the workflow holds on to: dropped, it goes on by itself.
struct Held {
    op: OpId,
}

impl Drop for Held {
    fn drop(&mut self) {
        // Outside of a poll it is the run that is dropped, which decides nothing.
        context::try_with(|cx| cx.detach(&self.op));
    }
}

/// An awaited child.
#[doc(hidden)]
pub struct ChildFuture<W: Workflow>(State<W>);

enum State<W: Workflow> {
    New(Option<WorkflowCall<W>>),
    Waiting(Held),
}

// It holds no future.
impl<W: Workflow> Unpin for ChildFuture<W> {}

impl<W: Workflow> Future for ChildFuture<W> {
    type Output = Result<W::Output, ChildError<W::Error>>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::New(call) = &mut self.0 {
            let Some(call) = call.take() else { return Poll::Pending };
            match schedule(call) {
                Ok((op, _)) => self.0 = State::Waiting(Held { op }),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        let State::Waiting(held) = &self.0 else { return Poll::Pending };
        take::<W>(&held.op)
    }
}

/// A child that is awaited, and kept by its handle.
#[doc(hidden)]
pub struct BorrowedChildFuture<W> {
    op: OpId,
    workflow: PhantomData<fn() -> W>,
}

impl<W: Workflow> Future for BorrowedChildFuture<W> {
    type Output = Result<W::Output, ChildError<W::Error>>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        take::<W>(&self.op)
    }
}

/// How the child ended, if it has.
fn take<W: Workflow>(op: &OpId) -> Poll<Result<W::Output, ChildError<W::Error>>> {
    context::with(W::NAME, |cx| {
        let Some(Arrival::Child(end)) = cx.take(op) else { return Poll::Pending };
        let end = *end;
        match result::<W>(end) {
            Ok(result) => Poll::Ready(result),
            Err(error) => {
                cx.fail(format!("the recorded end of child {op} `{}` cannot be read: {error}", W::NAME));
                Poll::Pending
            }
        }
    })
}

type ChildResult<W> = Result<<W as Workflow>::Output, ChildError<<W as Workflow>::Error>>;

fn result<W: Workflow>(end: ChildEnd) -> Result<ChildResult<W>, codec::CodecError> {
    Ok(match end {
        ChildEnd::Completed(output) => Ok(codec::decode(&output)?),
        ChildEnd::Failed { error, .. } => Err(ChildError::Failed(codec::decode(&error)?)),
        ChildEnd::Cancelled => Err(ChildError::Cancelled),
        ChildEnd::Terminated => Err(ChildError::Terminated),
        ChildEnd::Dead { reason } => Err(ChildError::Dead(reason)),
        ChildEnd::NotStarted { why } => Err(ChildError::NotStarted(why)),
        other => return Err(codec::CodecError::new(format!("this build does not know the ending {other:?}"))),
    })
}

fn schedule<W: Workflow>(call: WorkflowCall<W>) -> Result<(OpId, RunId), ChildError<W::Error>> {
    context::with(W::NAME, |cx| {
        let op = cx.next_op();
        if let Some(message) = cx.refused(&op) {
            return Err(ChildError::NotStarted(message));
        }
        let (encoder, now, execution) = (cx.encoder_at(&op), cx.now(), cx.execution());
        let mut unrecordable = |what: &str, error: codec::CodecError| {
            let message = format!("{what} of `{}` cannot be recorded: {error}", W::NAME);
            if error.is_too_large() {
                cx.refuse(&op, &message);
            }
            ChildError::NotStarted(message)
        };
        let WorkflowCall { input, options } = call;
        let terms = options.terms(W::definition(), now).map_err(|error| unrecordable("the memo", error))?;
        let id = match options.id {
            Some(id) => RunId::new(id),
            None => RunId::new(format!("{execution}/{op}")),
        };
        let id = id.map_err(|error| ChildError::NotStarted(error.to_string()))?;
        let input = encoder.encode(&input).map_err(|error| unrecordable("the input", error))?;
        let undo = match W::UNDO {
            _ if options.no_compensation => UndoPlan::Nothing,
            UndoKind::Nothing => UndoPlan::Nothing,
            UndoKind::FromOutput => UndoPlan::FromOutput,
            UndoKind::FromInput => {
                let owned = codec::decode::<W>(&input).map_err(|error| unrecordable("the input", error))?;
                match owned.undo_from_input() {
                    Some(undo) => {
                        UndoPlan::Known(undo.into_step(encoder).map_err(|error| unrecordable("the undo", error))?)
                    }
                    None => UndoPlan::Nothing,
                }
            }
        };
        let entry = Entry::ChildScheduled(Box::new(ChildScheduled {
            op: op.clone(),
            workflow: W::NAME.to_owned(),
            version: W::VERSION,
            id: id.as_str().to_owned(),
            execution: derive::child(execution, &op, now),
            input,
            undo,
            at_end: options.on_parent_end,
            lane: options.lane.unwrap_or_default(),
            priority: options.priority.unwrap_or_default(),
            terms,
        }));
        cx.decide(op.clone(), Decision::new(entry, None));
        Ok((op, id))
    })
}
