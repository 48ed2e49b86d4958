//! Keeping steps on one worker.

use std::panic::Location;

use saga_store::wire::{ChildScheduled, Entry, Payload, UndoPlan};

use crate::context;
use crate::derive;
use crate::errand;
use crate::line;
use crate::session::{self, Place, Session};

/// Begins a session on a worker of this queue: each call with [`.session(&…)`] is made by that
/// worker, in that process. For steps that share what is in one place only: a file that one has
/// fetched and the next reads, a model in the memory of a graphics card.
///
/// A worker that serves the queue takes the session when it has room (see
/// [`EngineBuilder::limit_sessions`]), and keeps it until the [`Session`] is dropped, the branch or
/// the run that began it ends, or the worker does. What is called meanwhile waits for that worker.
/// Attempts of one session can run at once, as those of any steps.
///
/// When the worker dies, is stopped or loses its lease the session is lost: what was in one place is
/// gone. Steps of it that have not ended then fail with [`ActivityError::SessionLost`], as all later
/// calls do. The workflow decides what to begin anew, in a new session; what had ended stays done, and is
/// undone by its undo steps. A step that may have been attempted has an unknown outcome and is undone
/// so: where that needs its output, it is first attempted again, for as long as it takes, by any worker of the
/// queue, and a permanent error of that attempt says that there is nothing to undo. So an activity that cannot do
/// without its session should be undone by its input, or fail as transient where it has none. Undo steps are
/// made where the workflow runs, as others are.
///
/// Bound how often you begin anew: a step that kills its process would kill one worker after another. A
/// step for which the session's worker lacks the code is `SessionLost` as well, and so is one that was called
/// just before the session was dropped and had not begun.
///
/// Costs an entry in the workflow's next record, and a run for as long as it lasts: three records and two
/// messages. Each step costs a record of the session and a message more than one of a
/// [`queue`](crate::ActivityCall::queue). A crash of the workflow's own worker changes nothing about
/// it, and a cancel ends it. Another execution of the run, by
/// [`Client::fork`](crate::Client::fork) or a retry, finds a session that it has copied lost.
///
/// Builds that do not know sessions yet must not work on the same store while runs use them: they would start
/// such a step anywhere.
///
/// [`.session(&…)`]: crate::ActivityCall::session
/// [`EngineBuilder::limit_sessions`]: crate::EngineBuilder::limit_sessions
/// [`ActivityError::SessionLost`]: crate::ActivityError::SessionLost
///
/// ```
/// # use saga_runtime::prelude::*;
/// # use saga_runtime::ActivityError;
/// # use serde::{Serialize, Deserialize};
/// # #[derive(Debug, thiserror::Error, Serialize, Deserialize)]
/// # #[error(transparent)]
/// # struct FilmError(#[from] ActivityError<saga_runtime::Error>);
/// /// Onto the local disk of the worker.
/// #[activity(queue = "gpu")]
/// async fn fetch(scene: String) -> saga_runtime::Result<String> {
///     Ok(format!("/scratch/{scene}"))
/// }
///
/// #[activity(queue = "gpu")]
/// async fn render(path: String) -> saga_runtime::Result<u64> {
///     Ok(path.len() as u64)
/// }
///
/// #[workflow]
/// async fn film(scene: String) -> Result<u64, FilmError> {
///     let mut left = 3;
///     loop {
///         let gpu = session("gpu");
///         let tried = attempt(async {
///             let path = fetch(scene.clone()).session(&gpu).await?;
///             render(path).session(&gpu).await
///         });
///         match tried.await {
///             Err(error) if error.is_session_lost() && left > 0 => left -= 1,
///             rendered => return Ok(rendered?),
///         }
///     }
/// }
/// ```
///
/// # Errors
///
/// A text that names no queue is an error of each call in the session.
///
/// # Panics
///
/// Outside a workflow.
#[track_caller]
pub fn session(queue: impl Into<String>) -> Session {
    line::reached(Location::caller());
    let queue = queue.into();
    context::with("session", |cx| {
        let (op, now, parent) = (cx.next_op(), cx.now(), cx.execution());
        if let Err(message) = errand::check_queue(&queue) {
            return Session::new(Err(message));
        }
        let execution = derive::child(parent, &op, now);
        cx.note(Entry::ChildScheduled(Box::new(ChildScheduled {
            op: op.clone(),
            workflow: session::workflow(&queue),
            version: session::VERSION,
            id: format!("{parent}/{op}"),
            execution,
            input: Payload::json("null"),
            undo: UndoPlan::Nothing,
            at_end: None,
            lane: String::new(),
            priority: 0,
            terms: None,
        })));
        Session::new(Ok(Place { op, execution, queue }))
    })
}
