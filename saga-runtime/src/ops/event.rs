//! Waiting for an event.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use saga_store::wire::OpId;

use super::select::{Either, SelectFuture, SelectPair};
use super::sleep::Sleep;
use crate::codec;
use crate::context::{self, Arrival};
use crate::durable::{Durable, sealed::Sealed};
use crate::event::Event;

/// Waits for the next event of this type. Events that come early are kept in order; each goes to
/// one waiting operation. Two records: one that says what is awaited (together with whatever
/// else is decided then), one when it comes.
pub fn event<E: Event>() -> EventWait<E> {
    EventWait(PhantomData)
}

/// What [`event()`] returns: await it in a workflow.
#[must_use = "waiting for an event does nothing until a workflow awaits it: add `.await`"]
#[derive(Debug)]
pub struct EventWait<E>(PhantomData<fn() -> E>);

impl<E: Event> Sealed for EventWait<E> {}

#[diagnostic::do_not_recommend]
impl<E: Event> Durable for EventWait<E> {
    type Output = E;
    type Operation = EventFuture<E>;

    fn into_operation(self) -> EventFuture<E> {
        EventFuture { op: None, event: PhantomData }
    }
}

impl<E: Event> EventWait<E> {
    /// Waits for the event no longer than this. The moment at which the wait ends is recorded
    /// once, so that a crash does not extend it. Costs one entry more than the wait alone.
    pub fn timeout(self, patience: Duration) -> EventTimeout<E> {
        EventTimeout(SelectPair::new(self, super::sleep(patience)))
    }
}

/// The event did not come in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[error("the event did not come in time")]
pub struct Elapsed;

/// What [`EventWait::timeout`] returns: await it in a workflow.
#[must_use = "waiting for an event does nothing until a workflow awaits it: add `.await`"]
pub struct EventTimeout<E: Event>(SelectPair<EventWait<E>, Sleep>);

impl<E: Event> Sealed for EventTimeout<E> {}

#[diagnostic::do_not_recommend]
impl<E: Event> Durable for EventTimeout<E> {
    type Output = Result<E, Elapsed>;
    type Operation = EventTimeoutFuture<E>;

    fn into_operation(self) -> EventTimeoutFuture<E> {
        EventTimeoutFuture(self.0.into_operation())
    }
}

/// An awaited [`EventTimeout`].
#[doc(hidden)]
pub struct EventTimeoutFuture<E: Event>(SelectFuture<EventWait<E>, Sleep>);

impl<E: Event> Future for EventTimeoutFuture<E> {
    type Output = Result<E, Elapsed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|first| match first {
            Either::Left(event) => Ok(event),
            Either::Right(()) => Err(Elapsed),
        })
    }
}

/// An awaited event.
#[doc(hidden)]
pub struct EventFuture<E> {
    op: Option<OpId>,
    event: PhantomData<fn() -> E>,
}

impl<E: Event> Future for EventFuture<E> {
    type Output = E;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<E> {
        context::with("event", |cx| {
            let op = self.op.get_or_insert_with(|| {
                let op = cx.next_op();
                cx.await_event(&op, E::NAME);
                op
            });
            let Some(Arrival::Value(value)) = cx.take(op) else { return Poll::Pending };
            match codec::decode(&value) {
                Ok(event) => Poll::Ready(event),
                Err(error) => {
                    cx.fail(format!("the recorded event `{}` at {op} cannot be read: {error}", E::NAME));
                    Poll::Pending
                }
            }
        })
    }
}
