//! Sending events to other runs.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as PollContext, Poll};

use saga_store::RunId;
use saga_store::wire::{Entry, EventMessage, EventSent, Recipient};

use crate::codec;
use crate::context::{self, Context};
use crate::durable::{Durable, sealed::Sealed};
use crate::event::{Event, SendError};

/// Sends an event to the run of this id, whatever its workflow: to its newest execution.
///
/// The event is part of the record that the workflow makes anyway, and is sent once that is durable;
/// the await ends at once, and costs no record of its own. The event has its id before it is first
/// sent, so that the other run receives it once, however often this worker dies. Events of one run to
/// another come in the order in which they were sent; only after a crash, or an outage of the store,
/// one may be overtaken by a later one.
///
/// What was sent stays sent: neither an undo nor a cancel takes it back. An event for a run that does
/// not exist, or has ended, is dropped with a warning in the log; where that matters, wait for an
/// event in answer. A child is best sent to by its handle
/// ([`ChildHandle::send`](crate::ChildHandle::send)), which is there before its run is.
///
/// # Errors
///
/// [`SendError::Id`] if the text cannot name a run, [`SendError::Event`] if the event cannot be
/// recorded. Nothing was sent then.
///
/// ```
/// # use saga_runtime::prelude::*;
/// # use serde::{Deserialize, Serialize};
/// #[derive(Serialize, Deserialize, Event)]
/// struct Delivered {
///     parcel: u32,
/// }
///
/// #[workflow]
/// async fn deliver(parcel: u32, order: String) -> saga_runtime::Result<()> {
///     sleep(std::time::Duration::from_secs(3600)).await;
///     send(order, Delivered { parcel }).await?;
///     Ok(())
/// }
/// ```
pub fn send<E: Event>(to: impl AsRef<str>, event: E) -> SendEvent {
    SendEvent(ready(to.as_ref(), &event))
}

fn ready<E: Event>(to: &str, event: &E) -> Result<(Recipient, EventMessage), SendError> {
    let id = RunId::new(to).map_err(|error| SendError::Id(error.to_string()))?;
    Ok((Recipient::Run(id.as_str().to_owned()), message(event)?))
}

/// An event as it is recorded.
pub(super) fn message<E: Event>(event: &E) -> Result<EventMessage, SendError> {
    // Its size is looked at when it is sent.
    let value = codec::encode_here(event).map_err(|error| SendError::Event(error.to_string()))?;
    Ok(EventMessage { name: E::NAME.to_owned(), value })
}

/// Records that an event is sent.
pub(super) fn note(cx: &mut Context, to: Recipient, event: EventMessage) -> Result<(), SendError> {
    let op = cx.next_op();
    if let Some(message) = cx.refused(&op) {
        return Err(SendError::Event(message));
    }
    if let Err(error) = cx.encoder_at(&op).check(event.value.len(), &event.name) {
        let message = error.to_string();
        cx.refuse(&op, &message);
        return Err(SendError::Event(message));
    }
    cx.note(Entry::EventSent(EventSent { op, to, event }));
    Ok(())
}

/// What [`send`] returns: await it in a workflow.
#[must_use = "an event is sent when a workflow awaits this: add `.await`"]
#[derive(Debug)]
pub struct SendEvent(Result<(Recipient, EventMessage), SendError>);

impl Sealed for SendEvent {}

#[diagnostic::do_not_recommend]
impl Durable for SendEvent {
    type Output = Result<(), SendError>;
    type Operation = SendFuture;

    fn into_operation(self) -> SendFuture {
        SendFuture(Some(self.0))
    }
}

/// An awaited [`SendEvent`].
#[doc(hidden)]
pub struct SendFuture(Option<Result<(Recipient, EventMessage), SendError>>);

impl Future for SendFuture {
    type Output = Result<(), SendError>;

    fn poll(mut self: Pin<&mut Self>, _: &mut PollContext<'_>) -> Poll<Self::Output> {
        match self.0.take() {
            Some(Ok((to, event))) => Poll::Ready(context::with("send", |cx| note(cx, to, event))),
            Some(Err(error)) => Poll::Ready(Err(error)),
            None => Poll::Pending,
        }
    }
}
