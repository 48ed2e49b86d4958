//! An event on its way to a run.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use saga_store::{Delivery, ExecutionId, Message, MessageId, RunId, StoreError, Target};

use super::{ClientError, LocalWorker, chain};
use crate::clock::Clock;
use crate::erased::AnyStore;
use crate::spawn::Spawner;

/// What [`RunHandle::send`](super::RunHandle::send) and [`Client::send`](super::Client::send)
/// return: await it. A type with a name, so that of a value that is no event there is one error.
#[must_use = "an event is sent when this is awaited: add `.await`"]
pub struct Sending<'a>(Pin<Box<dyn Future<Output = Result<(), ClientError>> + Send + 'a>>);

impl<'a> Sending<'a> {
    pub(super) fn new(sending: impl Future<Output = Result<(), ClientError>> + Send + 'a) -> Self {
        Self(Box::pin(sending))
    }
}

impl Future for Sending<'_> {
    type Output = Result<(), ClientError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Sending<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending").finish_non_exhaustive()
    }
}

/// A message for the inbox of a run.
pub(crate) struct Letter {
    /// By which it is recognised when it is sent again.
    pub(crate) id: MessageId,
    pub(crate) to: Target,
    /// The run, as errors name it.
    pub(crate) run: RunId,
    pub(crate) body: Bytes,
}

/// How messages get into inboxes.
pub(crate) struct Mail<'a> {
    pub(crate) store: &'a dyn AnyStore,
    /// The worker in this process, if it is to have what they wake, and where its tasks are started.
    pub(crate) worker: Option<(&'a dyn LocalWorker, &'a Spawner)>,
}

impl Mail<'_> {
    pub(super) async fn put(&self, messages: Vec<Message>) -> Result<Vec<Delivery>, StoreError> {
        match self.worker {
            Some((worker, spawner)) => worker.deliver(spawner, messages).await,
            None => self.store.deliver(messages).await,
        }
    }
}

/// Puts a message into the inbox of a run, of its next execution if it goes on; says of which.
pub(crate) async fn deliver(mail: &Mail<'_>, clock: &dyn Clock, letter: Letter) -> Result<ExecutionId, ClientError> {
    let Letter { id, mut to, run, body } = letter;
    let mut goes_on = false;
    let mut round = 0;
    while round < chain::ROUNDS {
        let message = Message { id, to: to.clone(), body: body.clone() };
        match mail.put(vec![message]).await?.first() {
            Some(Delivery::New(execution) | Delivery::Duplicate(execution)) => return Ok(*execution),
            Some(Delivery::Ended(execution)) => {
                let view = mail.store.get_execution(*execution).await?;
                let next = view.as_ref().map(chain::next_of).transpose()?.flatten();
                to = Target::Execution(next.ok_or_else(|| ClientError::HasEnded { id: run.clone() })?);
                goes_on = true;
            }
            Some(Delivery::NoRun) | None if goes_on => {
                chain::pause(clock, round).await;
                round += 1;
            }
            Some(Delivery::NoRun) | None => return Err(ClientError::NoRun { id: run }),
        }
    }
    Err(ClientError::GoesOn { id: run })
}
