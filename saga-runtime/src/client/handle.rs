//! A run as its starter holds it.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

use saga_store::message::{CancelRequest, EventMessage, MessageBody};
use saga_store::{ExecutionId, Hint, RunId, RunView, Target};

use serde::de::DeserializeOwned;

use super::operate::Subject;
use super::{Client, ClientError, Outcome, RunError, RunWatch, Sending, UndoError, chain, show, view, watch};
use crate::awaited::may_await;
use crate::codec;
use crate::event::Event;
use crate::workflow::Workflow;

/// A run of workflow `W`: wait for it, send to it, cancel it. Dropping it changes nothing.
///
/// It is for one execution, and those in which that goes on
/// ([`continue_as_new`](crate::continue_as_new())): whatever is asked of it is asked of the last of
/// these. It is not for an execution that took the place of this one after its end, by a new start or
/// a fork: for that, [`attach`](Client::attach) again.
pub struct RunHandle<W> {
    client: Client,
    id: RunId,
    execution: ExecutionId,
    /// How far the run is known to have gone on.
    last: Mutex<ExecutionId>,
    is_new: bool,
    input_differs: bool,
    workflow: PhantomData<fn() -> W>,
}

impl<W: Workflow> RunHandle<W> {
    pub(crate) fn new(client: Client, id: RunId, execution: ExecutionId) -> Self {
        let last = Mutex::new(execution);
        Self { client, id, execution, last, is_new: false, input_differs: false, workflow: PhantomData }
    }

    pub(crate) fn started(mut self, is_new: bool, input_differs: bool) -> Self {
        self.is_new = is_new;
        self.input_differs = input_differs;
        self
    }

    /// The run's name.
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// The execution that this handle is for; the first of those in which the run goes on.
    pub fn execution(&self) -> ExecutionId {
        self.execution
    }

    /// Whether this start made the run; if not it existed before.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Whether the run existed before, with another input.
    pub fn input_differs(&self) -> bool {
        self.input_differs
    }

    /// Tells the workers that the transaction that this run was started within
    /// ([`StartRun::within`](super::StartRun::within)) is committed. A hint: without it a worker
    /// finds the run all the same, but later.
    pub fn committed(&self) {
        self.client.parts.store.tell(Hint::Ready);
    }

    /// Waits for the run to end; its value, or why there is none.
    pub async fn result(&self) -> Result<W::Output, RunError<W::Error>> {
        match self.outcome().await? {
            Outcome::Completed(output) => Ok(output),
            Outcome::Failed(error) => Err(RunError::Failed(error)),
            Outcome::Cancelled => Err(RunError::Cancelled),
            Outcome::Terminated => Err(RunError::Terminated),
            Outcome::Dead(reason) => Err(RunError::Dead(reason)),
        }
    }

    /// Waits for the run to end, however it does. In the engine's own process this costs no read.
    pub async fn outcome(&self) -> Result<Outcome<W::Output, W::Error>, ClientError> {
        let (execution, conclusion) = watch::conclusion(&self.client, &self.id, self.last()).await?;
        self.went_on(execution);
        Ok(Outcome::from_conclusion(&conclusion)?)
    }

    /// The run as it stands.
    pub async fn view(&self) -> Result<RunView, ClientError> {
        let view = chain::last(&self.client.parts, &self.id, self.last()).await?;
        self.went_on(view.execution);
        Ok(view)
    }

    fn last(&self) -> ExecutionId {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn went_on(&self, execution: ExecutionId) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = execution;
    }

    async fn tell(&self, body: &MessageBody) -> Result<(), ClientError> {
        let to = Target::Execution(self.last());
        self.went_on(self.client.send_body(to, self.id.clone(), body).await?);
        Ok(())
    }

    /// What of the run is not undone, because an undo step failed for good: empty for most. Reads the
    /// journal. See [`RunDetails::undo_errors`](crate::RunDetails::undo_errors).
    pub async fn undo_errors(&self) -> Result<Vec<UndoError>, ClientError> {
        let view = self.view().await?;
        Ok(show::details(&*self.client.parts.store, view).await?.undo_errors())
    }

    /// What the workflow last said of itself with [`set_status`](crate::set_status); `None` if
    /// nothing. Costs one read. A status that is no `T` is an error.
    pub async fn status<T: DeserializeOwned>(&self) -> Result<Option<T>, ClientError> {
        let view = self.view().await?;
        let status = view::status(&*self.client.parts.store, &view).await?;
        Ok(status.as_ref().map(codec::decode).transpose()?)
    }

    /// Follows the run: its state and status now, each change of them, and its end, after which
    /// there is nothing. In the engine's own process a change is told at once; elsewhere as fast as
    /// the store's hints travel, and within two seconds if they are lost. Changes that follow each
    /// other fast may be seen as one. Costs one read a change.
    ///
    /// ```no_run
    /// # use saga_runtime::{RunHandle, Workflow};
    /// # #[derive(Debug, serde::Deserialize)]
    /// # struct Progress { packed: u32 }
    /// # async fn example<W: Workflow>(run: RunHandle<W>) -> Result<(), saga_runtime::ClientError> {
    /// let mut changes = run.watch();
    /// while let Some(update) = changes.next().await {
    ///     let update = update?;
    ///     println!("{} {:?}", update.state, update.status::<Progress>()?);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn watch(&self) -> RunWatch {
        RunWatch::new(self.client.clone(), self.id.clone(), self.last())
    }

    /// Asks the run to stop and undo its steps. See [`Client::cancel`].
    pub async fn cancel(&self) -> Result<(), ClientError> {
        let view = self.view().await?;
        let to = Target::Execution(view.execution);
        self.went_on(self.client.cancel_run(view, to, None).await?);
        Ok(())
    }

    /// Ends the run at once, without undo. See [`Client::terminate`].
    pub async fn terminate(&self, reason: impl Into<Option<String>>) -> Result<(), ClientError> {
        self.client.terminate_run(&self.id, &Subject::Execution(self.last()), reason.into()).await
    }

    /// Stops the run until it is resumed. See [`Client::suspend`].
    pub async fn suspend(&self) -> Result<(), ClientError> {
        self.tell(&MessageBody::Suspend(CancelRequest::default())).await
    }

    /// Lets the run go on. See [`Client::resume`].
    pub async fn resume(&self) -> Result<(), ClientError> {
        self.tell(&MessageBody::Resume(CancelRequest::default())).await
    }

    /// Sends an event. Returns when it is durable; the run receives it once, in order.
    ///
    /// # Errors
    ///
    /// [`ClientError::NotAwaited`] if the workflow never awaits the event, as the plans of all its
    /// versions that are linked into this program show; nothing was sent then. A plan in which a call
    /// is awaited that it cannot tell (one in a variable, say) never leads to this error, and
    /// [`Client::send`] does not look. [`ClientError::HasEnded`] if the run has ended.
    pub fn send<E: Event>(&self, event: E) -> Sending<'_> {
        let value = self.client.encoder.encode(&event);
        Sending::new(async move {
            if !may_await::<W, E>() {
                return Err(ClientError::NotAwaited { id: self.id.clone(), event: E::NAME, workflow: W::NAME });
            }
            self.tell(&MessageBody::Event(EventMessage { name: E::NAME.to_owned(), value: value? })).await
        })
    }
}

impl<W> fmt::Debug for RunHandle<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunHandle").field("id", &self.id).field("execution", &self.execution).finish_non_exhaustive()
    }
}
