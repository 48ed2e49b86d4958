//! Sessions: runs that keep the steps of another run on one worker.
//!
//! A session is a child run of a workflow that is built in, claimed by a worker of its queue. It
//! begins the runs that make the steps' attempts, for its own worker and no other, and never leaves
//! memory; when its worker is gone it is over. So who drives it is who has the session, and nothing
//! else says so.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as PollContext, Poll};

use saga_store::ExecutionId;
use saga_store::wire::{Entry, OpId, Payload};

use crate::codec::CodecError;
use crate::context::{self, Arrival};
use crate::workflow::{BodyEnd, BodyFuture, WorkflowDefinition, built_in};

/// What the names of sessions' workflows begin with.
const PREFIX: &str = "@session/";

/// Their version.
pub(crate) const VERSION: u32 = 1;

/// The event by which a session ends.
pub(crate) const END: &str = "@end";

/// The workflow of all sessions.
pub(crate) static DEFINITION: WorkflowDefinition = built_in!("@session", VERSION);

/// The durable name of the workflow of this queue's sessions.
pub(crate) fn workflow(queue: &str) -> String {
    format!("{PREFIX}{queue}")
}

/// Whether a workflow of this name is a session.
pub(crate) fn is_session(workflow: &str) -> bool {
    workflow.starts_with(PREFIX)
}

/// A session as a call names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Where the workflow has begun it.
    pub(crate) op: OpId,
    /// Its journal.
    pub(crate) execution: ExecutionId,
    pub(crate) queue: String,
}

/// A session that [`session`](crate::session()) has begun. Dropping it ends it: its worker has room for another, and what
/// is under way in it goes on to its end.
#[must_use = "dropping a session ends it"]
#[derive(Debug)]
pub struct Session(Result<Place, String>);

impl Session {
    pub(crate) fn new(place: Result<Place, String>) -> Self {
        Self(place)
    }

    /// The session, or why it has none.
    pub(crate) fn place(&self) -> Result<Place, String> {
        self.0.clone()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // A workflow that has panicked decides nothing: it may be repaired, and then goes on from before.
        if let Some(place) = self.0.as_ref().ok().filter(|_| !std::thread::panicking()) {
            // Outside of a poll it is the run that is dropped, which decides nothing either.
            context::try_with(|cx| cx.note(Entry::ChildCancelled(place.op.clone())));
        }
    }
}

#[allow(clippy::unnecessary_wraps, reason = "what a definition asks for")]
fn begin(_: &Payload) -> Result<BodyFuture, CodecError> {
    Ok(Box::pin(Body(None)))
}

/// Waits for its end. What the session does meanwhile is not its workflow's.
struct Body(Option<OpId>);

impl Future for Body {
    type Output = BodyEnd;

    fn poll(mut self: Pin<&mut Self>, _: &mut PollContext<'_>) -> Poll<BodyEnd> {
        context::with("a session", |cx| {
            let op = self.0.get_or_insert_with(|| {
                let op = cx.next_op();
                cx.await_event(&op, END);
                op
            });
            match cx.take(op) {
                Some(Arrival::Value(value)) => Poll::Ready(BodyEnd::Returned(value)),
                _ => Poll::Pending,
            }
        })
    }
}
