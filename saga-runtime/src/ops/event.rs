//! Waiting for an event.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use saga_store::wire::{OpId, Payload};

use super::select::{Either, SelectFuture, SelectPair};
use super::sleep::Sleep;
use crate::codec::{self, CodecError};
use crate::context::{self, Arrival};
use crate::durable::{Durable, sealed::Sealed};
use crate::event::Event;

/// Waits for the next event of this type. Events that come early are kept in order; each goes to
/// one waiting operation. Two records: one that says what is awaited (together with whatever
/// else is decided then), one when it comes.
///
/// A crash loses no event and gives none twice: what the journal has is replayed, and what it has not
/// is still in the run's inbox. A cancel ends the wait; events that nobody takes are dropped with the
/// run. A run that waits holds no memory if nothing else of it is soon due.
///
/// ```
/// # use saga_runtime::prelude::*;
/// # use serde::{Deserialize, Serialize};
/// # use std::time::Duration;
/// #[derive(Serialize, Deserialize, Event)]
/// struct Approval {
///     by: String,
/// }
///
/// #[workflow]
/// async fn approved() -> saga_runtime::Result<Option<String>> {
///     let in_time = event::<Approval>().timeout(Duration::from_secs(3600)).await;
///     Ok(in_time.ok().map(|approval| approval.by))
/// }
/// ```
pub fn event<E: Event>() -> EventWait<E> {
    EventWait { name: E::NAME, decode: codec::decode::<E> }
}

/// What [`event()`] returns: await it in a workflow.
#[must_use = "waiting for an event does nothing until a workflow awaits it: add `.await`"]
#[derive(Debug)]
pub struct EventWait<E> {
    name: &'static str,
    decode: Decode<E>,
}

/// How a value of the type is read. Only [`event()`] asks whether the type is an event: of one that
/// is none its error is the only one.
type Decode<E> = fn(&Payload) -> Result<E, CodecError>;

impl<E> Sealed for EventWait<E> {}

#[diagnostic::do_not_recommend]
impl<E> Durable for EventWait<E> {
    type Output = E;
    type Operation = EventFuture<E>;

    fn into_operation(self) -> EventFuture<E> {
        EventFuture { op: None, name: self.name, decode: self.decode }
    }
}

impl<E> EventWait<E> {
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
pub struct EventTimeout<E>(SelectPair<EventWait<E>, Sleep>);

impl<E> Sealed for EventTimeout<E> {}

#[diagnostic::do_not_recommend]
impl<E> Durable for EventTimeout<E> {
    type Output = Result<E, Elapsed>;
    type Operation = EventTimeoutFuture<E>;

    fn into_operation(self) -> EventTimeoutFuture<E> {
        EventTimeoutFuture(self.0.into_operation())
    }
}

/// An awaited [`EventTimeout`].
#[doc(hidden)]
pub struct EventTimeoutFuture<E>(SelectFuture<EventWait<E>, Sleep>);

impl<E> Future for EventTimeoutFuture<E> {
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
    name: &'static str,
    decode: Decode<E>,
}

impl<E> Future for EventFuture<E> {
    type Output = E;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<E> {
        let (name, decode) = (self.name, self.decode);
        context::with("event", |cx| {
            let op = self.op.get_or_insert_with(|| {
                let op = cx.next_op();
                cx.await_event(&op, name);
                op
            });
            let Some(Arrival::Value(value)) = cx.take(op) else { return Poll::Pending };
            match decode(&value) {
                Ok(event) => Poll::Ready(event),
                Err(error) => {
                    cx.fail(format!("the recorded event `{name}` at {op} cannot be read: {error}"));
                    Poll::Pending
                }
            }
        })
    }
}
