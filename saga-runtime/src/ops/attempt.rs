//! A saga within the saga.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::join::Side;
use crate::context::{self, Arrival, Branch};
use crate::durable::{Durable, sealed::Sealed};

/// Tries a part of the workflow that can fail by itself: when it returns an error, its own steps
/// are undone first, and only then the error is there for the workflow to cope with. When it
/// returns a value, its steps belong to the whole and are undone with it.
///
/// Records nothing of its own on success; one entry, and the records of its undos, on an error.
/// A crash goes on with the undo where it stood; a cancel undoes the whole run, this part first.
///
/// ```
/// # use saga_runtime::prelude::*;
/// # #[activity(compensate = release(name))]
/// # async fn reserve(name: String) -> saga_runtime::Result<()> { let _ = name; Ok(()) }
/// # #[activity]
/// # async fn release(name: String) -> saga_runtime::Result<()> { let _ = name; Ok(()) }
/// #[workflow]
/// async fn trip() -> saga_runtime::Result<bool> {
///     let by_train = attempt(async {
///         reserve("train".to_owned()).await?;
///         reserve("hotel".to_owned()).await
///     })
///     .await;
///     // If there was a train but no hotel, the train is free again here.
///     Ok(by_train.is_ok())
/// }
/// ```
pub fn attempt<D, T, E>(saga: D) -> Attempt<D>
where
    D: Durable<Output = Result<T, E>>,
{
    Attempt(saga)
}

/// What [`attempt`] returns: await it in a workflow.
#[must_use = "an attempt does nothing until a workflow awaits it: add `.await`"]
pub struct Attempt<D>(D);

impl<D> Sealed for Attempt<D> {}

#[diagnostic::do_not_recommend]
impl<D, T, E> Durable for Attempt<D>
where
    D: Durable<Output = Result<T, E>>,
{
    type Output = Result<T, E>;
    type Operation = AttemptFuture<D, T, E>;

    fn into_operation(self) -> Self::Operation {
        AttemptFuture { side: Side::new(self.0), branch: None, failed: None, value: PhantomData }
    }
}

/// An awaited [`Attempt`].
#[doc(hidden)]
pub struct AttemptFuture<D: Durable, T, E> {
    side: Side<D>,
    branch: Option<Branch>,
    failed: Option<E>,
    value: PhantomData<fn() -> T>,
}

// The operation is boxed; the error is moved, never pinned.
impl<D: Durable, T, E> Unpin for AttemptFuture<D, T, E> {}

impl<D, T, E> Future for AttemptFuture<D, T, E>
where
    D: Durable<Output = Result<T, E>>,
{
    type Output = Result<T, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let branch =
            this.branch.get_or_insert_with(|| Branch::new(&context::with("attempt", context::Context::next_op), 0));
        if this.failed.is_none() {
            if !this.side.poll(branch, cx) {
                return Poll::Pending;
            }
            match this.side.take() {
                Some(Ok(value)) => return Poll::Ready(Ok(value)),
                Some(Err(error)) if context::with("attempt", |context| context.undo_branch(branch)) => {
                    this.failed = Some(error);
                }
                Some(Err(error)) => return Poll::Ready(Err(error)),
                None => return Poll::Pending,
            }
        }
        match context::with("attempt", |context| context.take(branch.path())) {
            Some(Arrival::Fired) => this.failed.take().map_or(Poll::Pending, |error| Poll::Ready(Err(error))),
            _ => Poll::Pending,
        }
    }
}
