//! The point of no return.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use saga_store::wire::Entry;

use crate::context;
use crate::durable::{Durable, sealed::Sealed};

/// The point of no return: what was done before is not undone any more, whatever comes, and the
/// run is not cancelled any more. It holds for the scope in which it is awaited and for those
/// around it; branches beside it keep their undo steps.
///
/// Where one step is the point of no return, `#[activity(pivot)]` says so of it: then it is passed
/// when that step succeeds, and nothing is undone while nobody knows whether it did. Records one
/// entry, in the record of the next decision, and costs no commit of its own: a crash, or a cancel, before
/// that record is durable finds the run before the pivot.
///
/// ```
/// # use saga_runtime::prelude::*;
/// # #[activity(compensate = release(item))]
/// # async fn reserve(item: u32) -> saga_runtime::Result<()> { let _ = item; Ok(()) }
/// # #[activity]
/// # async fn release(item: u32) -> saga_runtime::Result<()> { let _ = item; Ok(()) }
/// # #[activity]
/// # async fn ship(item: u32) -> saga_runtime::Result<()> { let _ = item; Ok(()) }
/// #[workflow]
/// async fn order(item: u32) -> saga_runtime::Result<()> {
///     reserve(item).await?;
///     pivot().await;
///     // If this fails, the reservation stays.
///     ship(item).await?;
///     Ok(())
/// }
/// ```
pub fn pivot() -> Pivot {
    Pivot(())
}

/// What [`pivot`] returns: await it in a workflow.
#[must_use = "a pivot does nothing until it is awaited: add `.await`"]
#[derive(Debug, Clone, Copy)]
pub struct Pivot(());

impl Sealed for Pivot {}

#[diagnostic::do_not_recommend]
impl Durable for Pivot {
    type Output = ();
    type Operation = PivotFuture;

    fn into_operation(self) -> PivotFuture {
        PivotFuture { done: false }
    }
}

/// An awaited [`Pivot`].
#[doc(hidden)]
pub struct PivotFuture {
    done: bool,
}

impl Future for PivotFuture {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if !std::mem::replace(&mut self.done, true) {
            context::with("pivot", |cx| {
                let op = cx.next_op();
                cx.note(Entry::Pivot(op));
            });
        }
        Poll::Ready(())
    }
}
