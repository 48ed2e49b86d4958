//! Waiting for an event.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use saga_store::wire::OpId;

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

impl<E: Event> Durable for EventWait<E> {
    type Output = E;
    type Operation = EventFuture<E>;

    fn into_operation(self) -> EventFuture<E> {
        EventFuture { op: None, event: PhantomData }
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
