//! Going on with a fresh journal.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as PollContext, Poll};

use saga_store::wire::Continued;

use crate::call::WorkflowCall;
use crate::codec;
use crate::context::{self, Context};
use crate::derive;
use crate::durable::{Durable, sealed::Sealed};
use crate::workflow::Workflow;

/// Ends this execution, and goes on under the same id with a fresh journal, as this call says: for
/// a workflow that would run for ever, whose journal must not. Write it as what is returned; nothing
/// after it runs.
///
/// The execution is complete then, as if it had returned a value: **what it has done stays**, its
/// undo steps are dropped, and what the next execution does is undone without it. Children that it
/// holds go on by themselves. Steps that are under way beside it make the run dead, with a message
/// that says which: await them first.
///
/// The next execution has the run's search attributes, its memo, its lane and priority, its deadline
/// and its parent, unless the call says otherwise (`.attribute(…)`, `.deadline(…)`, and `.delay(…)`
/// to begin later). Events that no operation has taken go with it, and so does what is sent to the
/// run meanwhile. It has idempotency keys, a history limit and a status of its own. Whoever waits
/// for the run, follows it, sends to it or cancels it is led on; a parent waits for the last
/// execution. The call is of the same workflow, of this version or another.
///
/// Costs a record, which the last decision shares, a message and a start. A crash in between loses
/// nothing and starts nothing twice: the order to go on is part of the record that ends the
/// execution. A cancel that comes before that record cancels this execution; one that comes later
/// cancels the next.
///
/// ```
/// # use saga_runtime::prelude::*;
/// # use std::time::Duration;
/// # #[activity]
/// # async fn charge(customer: String, month: u32) -> saga_runtime::Result<()> { let _ = (customer, month); Ok(()) }
/// #[workflow]
/// async fn subscription(customer: String, month: u32) -> saga_runtime::Result<()> {
///     charge(customer.clone(), month).await?;
///     sleep(Duration::from_secs(30 * 86_400)).await;
///     return continue_as_new(subscription(customer, month + 1)).await;
/// }
/// ```
pub fn continue_as_new<W: Workflow>(call: WorkflowCall<W>) -> ContinueAsNew<W> {
    ContinueAsNew(call)
}

/// What [`continue_as_new`] returns: return its await from a workflow.
#[must_use = "the workflow goes on as new when this is awaited: write `return continue_as_new(…).await`"]
#[derive(Debug)]
pub struct ContinueAsNew<W: Workflow>(WorkflowCall<W>);

impl<W: Workflow> Sealed for ContinueAsNew<W> {}

#[diagnostic::do_not_recommend]
impl<W: Workflow> Durable for ContinueAsNew<W> {
    type Output = Result<W::Output, W::Error>;
    type Operation = ContinueFuture<W>;

    fn into_operation(self) -> ContinueFuture<W> {
        ContinueFuture(Some(self.0))
    }
}

/// An awaited [`ContinueAsNew`]: never ready.
#[doc(hidden)]
pub struct ContinueFuture<W: Workflow>(Option<WorkflowCall<W>>);

// It holds no future.
impl<W: Workflow> Unpin for ContinueFuture<W> {}

impl<W: Workflow> Future for ContinueFuture<W> {
    type Output = Result<W::Output, W::Error>;

    fn poll(mut self: Pin<&mut Self>, _: &mut PollContext<'_>) -> Poll<Self::Output> {
        if let Some(call) = self.0.take() {
            context::with("continue_as_new", |cx| match continued(cx, call) {
                Ok(continued) => cx.continue_as_new(continued),
                Err(why) => cx.fail(format!("`continue_as_new` cannot go on: {why}")),
            });
        }
        Poll::Pending
    }
}

fn continued<W: Workflow>(cx: &mut Context, call: WorkflowCall<W>) -> Result<Continued, String> {
    let WorkflowCall { input, options } = call;
    if !W::definition().is_called(cx.workflow()) {
        let own = cx.workflow();
        return Err(format!(
            "a run stays one of its workflow `{own}`, and this is a call of `{}`; `spawn` it",
            W::NAME
        ));
    }
    if let Some(id) = &options.id {
        return Err(format!("the run keeps its id, and the call says `.id(\"{id}\")`; leave that out"));
    }
    let op = cx.next_op();
    let unrecordable = |what: &str, error: codec::CodecError| format!("{what} cannot be recorded: {error}");
    Ok(Continued {
        next: derive::next(cx.execution(), &op, cx.now()),
        op,
        version: W::VERSION,
        input: cx.encoder().encode(&input).map_err(|error| unrecordable("the input", error))?,
        terms: options.terms(W::definition(), cx.now()).map_err(|error| unrecordable("the memo", error))?,
        lane: options.lane,
        priority: options.priority,
    })
}
