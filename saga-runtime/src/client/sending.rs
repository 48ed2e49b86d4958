//! An event on its way to a run.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::ClientError;

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
