//! What a workflow can await.

use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::line;

/// What a workflow can await: activity calls, timers, joins of them, helpers annotated with
/// `#[durable]`, and async blocks written in a workflow. Sealed: nothing else is replayed.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be awaited in a workflow: it is not durable",
    label = "not durable: a replay could not give the same result",
    note = "do it in an activity: move it into a function annotated with `#[activity]` and await a call of that; for time use `sleep`, for a helper of your own `#[durable]`"
)]
pub trait Durable: sealed::Sealed {
    /// What awaiting it gives.
    type Output;
    /// The future that the engine polls.
    type Operation: Future<Output = Self::Output>;

    /// Begins the operation.
    #[doc(hidden)]
    fn into_operation(self) -> Self::Operation;
}

pub(crate) mod sealed {
    /// Only this crate says what is durable.
    pub trait Sealed {}
}

/// What each `.await` in a workflow becomes.
#[doc(hidden)]
pub trait DurableExt: Sized {
    /// The future behind a durable value.
    #[doc(hidden)]
    #[track_caller]
    fn __saga_durable(self) -> <Self as Durable>::Operation
    where
        Self: Durable,
    {
        line::reached(Location::caller());
        self.into_operation()
    }
}

impl<T> DurableExt for T {}

/// An async block written in a workflow: durable, and no future to anyone else.
#[doc(hidden)]
#[must_use = "a block does nothing until it is awaited: add `.await`"]
pub struct Block<F>(pub F);

impl<F: Future> sealed::Sealed for Block<F> {}

#[diagnostic::do_not_recommend]
impl<F: Future> Durable for Block<F> {
    type Output = F::Output;
    type Operation = F;

    fn into_operation(self) -> F {
        self.0
    }
}

/// A block in other code than its workflow's.
#[doc(hidden)]
pub struct GivenAway<F>(F);

/// Never implemented: it makes the compiler say where such a block can be awaited.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "an async block written in a workflow can be awaited there only",
    label = "given away: what it does could not be recorded",
    note = "await it here, in `join!`, `select!` or `attempt` if need be; what is to run by itself goes into an activity, or into a child run: `spawn(…)`"
)]
pub trait AwaitedHere {}

impl<F: Future> Future for Block<F>
where
    GivenAway<F>: AwaitedHere,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<F::Output> {
        Poll::Pending
    }
}

/// What a function annotated with `#[durable]` returns. `C` says whether its body is checked for
/// strict workflows.
#[must_use = "a helper does nothing until a workflow awaits it: add `.await`"]
pub struct Helper<'a, T, C = Unchecked>(Pin<Box<dyn Future<Output = T> + Send + 'a>>, PhantomData<fn() -> C>);

/// The mark of a helper that is not `#[durable(strict)]`.
#[derive(Debug, Clone, Copy)]
pub struct Unchecked;

impl<'a, T, C> Helper<'a, T, C> {
    /// Wraps the body of a helper.
    #[doc(hidden)]
    pub fn new(body: impl Future<Output = T> + Send + 'a) -> Self {
        Self(Box::pin(body), PhantomData)
    }
}

impl<T, C> sealed::Sealed for Helper<'_, T, C> {}

#[diagnostic::do_not_recommend]
impl<'a, T, C> Durable for Helper<'a, T, C> {
    type Output = T;
    type Operation = HelperFuture<'a, T>;

    fn into_operation(self) -> HelperFuture<'a, T> {
        HelperFuture(self.0)
    }
}

/// The future behind a [`Helper`].
#[doc(hidden)]
pub struct HelperFuture<'a, T>(Pin<Box<dyn Future<Output = T> + Send + 'a>>);

impl<T> Future for HelperFuture<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        self.0.as_mut().poll(cx)
    }
}
