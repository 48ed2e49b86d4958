//! Clients: start runs, wait for them, look at them, cancel them. A client needs no worker in its
//! process.

mod bulk;
mod chain;
mod complete;
mod draft;
mod error;
mod follow;
mod fork;
mod handle;
mod layers;
mod operate;
mod outcome;
mod passage;
mod pivot;
mod repair;
mod request;
mod seat;
mod sending;
mod show;
mod start;
mod starts;
mod view;
mod watch;
mod within;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use saga_store::message::{CancelRequest, EventMessage, MessageBody};
use saga_store::wire::{Conclusion, Record};
use saga_store::{
    Delivery, ExecutionId, Incarnation, LoadedRun, Message, NewRun, Page, Query, RunId, RunView, Store, StoreError,
    Target,
};

pub use bulk::{Action, Bulk, BulkReport};
pub(crate) use draft::newborn;
pub use error::ClientError;
pub use follow::{RunUpdate, RunWatch};
pub use fork::Fork;
pub use handle::RunHandle;
pub(crate) use layers::StartLayers;
pub use layers::StartService;
use operate::Subject;
pub use outcome::{Outcome, RunError};
pub use repair::Repair;
pub use request::{Begun, Start};
pub use sending::Sending;
pub(crate) use sending::{Letter, Mail, deliver};
pub use show::{RunDetails, UndoError};
pub use start::StartRun;
pub(crate) use start::digest;
pub use within::StartWithin;

use crate::call::WorkflowCall;
use crate::clock::{Clock, SystemClock};
use crate::codec::{Codec, Encoder};
use crate::endings::Endings;
use crate::entropy::Entropy;
use crate::erased::{AnyStore, BoxFuture};
use crate::event::Event;
use crate::spawn::{Spawner, Task};
use crate::watchers::Watchers;
use crate::workflow::{Workflow, WorkflowDefinition};

/// The worker in the client's own process, if there is one.
pub(crate) trait LocalWorker: Send + Sync {
    /// The worker, if it takes a new run of this workflow at once. It keeps a place for it, until the
    /// run comes or [`Self::let_go`] is called.
    fn claims_for(&self, workflow: &str, version: u32, execution: ExecutionId) -> Option<Incarnation>;
    /// The place of a run that will not come is free again; nothing, if it has come.
    fn let_go(&self, execution: ExecutionId);
    /// Drives a run that was started for this life of the worker. Its journal is this record.
    fn launch(&self, run: LoadedRun, first: Record, definition: &'static WorkflowDefinition, claimed_for: Incarnation);
    /// A start for this worker got no answer: finds out whether it was applied, and if so drives
    /// the run, which nobody else would. It keeps its place until that is known.
    fn resolve_start(&self, new: NewRun);
    /// Whether it drives this run now.
    fn drives(&self, execution: ExecutionId) -> bool;
    /// Puts messages into inboxes, by a task of `spawner`, and drives what they wake if it can.
    fn deliver<'a>(
        &'a self,
        spawner: &'a Spawner,
        messages: Vec<Message>,
    ) -> BoxFuture<'a, Result<Vec<Delivery>, StoreError>>;
    /// What makes the driver that a run has here now drop it, if it has one: for whoever is about
    /// to append to the run's journal in its place.
    fn driver(&self, execution: ExecutionId) -> Option<Box<dyn FnOnce() + Send>>;
}

/// Starts runs, waits for them, looks at them. Cheap to clone.
///
/// [`Engine::client`](crate::Engine::client) gives one that hands new runs straight to the
/// engine in the same process; `Client::new(store)` serves where no worker runs.
#[derive(Clone)]
pub struct Client {
    parts: Arc<Parts>,
    encoder: Encoder,
    /// Around each start.
    layers: Option<Arc<StartLayers>>,
}

pub(crate) struct Parts {
    store: Arc<dyn AnyStore>,
    clock: Arc<dyn Clock>,
    spawner: Spawner,
    entropy: Arc<Entropy>,
    endings: Arc<Endings>,
    starts: starts::Starts,
    /// How often all that is waited for is looked at, hints or not.
    slow_poll: Duration,
    watchers: Watchers,
    worker: Option<Arc<dyn LocalWorker>>,
    /// Hears hints for those who wait.
    watcher: Mutex<Option<Task>>,
    /// Looks at what is waited for, hints or not.
    poller: Mutex<Option<Task>>,
}

impl Client {
    /// How often a client looks at the runs that it waits for, hints or not.
    pub(crate) const SLOW_POLL: Duration = watch::SLOW_POLL;

    /// A client of this store, in a process that need not run a worker.
    pub fn new<S: Store>(store: S) -> Self {
        Self::with(Parts {
            store: Arc::new(store),
            clock: Arc::new(SystemClock::new()),
            spawner: Spawner::Tokio,
            entropy: Arc::new(Entropy::from_os()),
            endings: Arc::new(Endings::default()),
            starts: starts::Starts::default(),
            slow_poll: watch::SLOW_POLL,
            watchers: Watchers::default(),
            worker: None,
            watcher: Mutex::default(),
            poller: Mutex::default(),
        })
    }

    pub(crate) fn local(
        store: &Arc<dyn AnyStore>,
        clock: &Arc<dyn Clock>,
        spawner: &Spawner,
        entropy: &Arc<Entropy>,
        endings: &Arc<Endings>,
        slow_poll: Duration,
        worker: Arc<dyn LocalWorker>,
    ) -> Self {
        Self::with(Parts {
            store: Arc::clone(store),
            clock: Arc::clone(clock),
            spawner: spawner.clone(),
            entropy: Arc::clone(entropy),
            endings: Arc::clone(endings),
            starts: starts::Starts::default(),
            slow_poll,
            watchers: Watchers::default(),
            worker: Some(worker),
            watcher: Mutex::default(),
            poller: Mutex::default(),
        })
    }

    /// A client in a test's own time, with no worker.
    #[cfg(any(test, feature = "test"))]
    pub(crate) fn within(store: impl Store, clock: Arc<dyn Clock>, spawner: Spawner, entropy: Arc<Entropy>) -> Self {
        Self::with(Parts {
            store: Arc::new(store),
            clock,
            spawner,
            entropy,
            endings: Arc::new(Endings::default()),
            starts: starts::Starts::default(),
            slow_poll: watch::SLOW_POLL,
            watchers: Watchers::default(),
            worker: None,
            watcher: Mutex::default(),
            poller: Mutex::default(),
        })
    }

    fn with(parts: Parts) -> Self {
        Self { parts: Arc::new(parts), encoder: Encoder::default(), layers: None }
    }

    /// Writes values in this format: the inputs of starts, events, and what completes a step. Of this
    /// client and what is cloned of it from here on. Default: JSON; an engine's own client has what the
    /// engine was given. It reads all formats. See [`Codec`].
    ///
    /// ```
    /// # use saga_runtime::{Client, Codec, MemoryStore};
    /// let client = Client::new(MemoryStore::new()).codec(Codec::Json).payload_limit(8 * 1024 * 1024);
    /// ```
    #[must_use]
    pub fn codec(mut self, codec: Codec) -> Self {
        self.encoder.codec = codec;
        self
    }

    /// The largest value that this client, and what is cloned of it from here on, sends: as
    /// [`EngineBuilder::payload_limit`](crate::EngineBuilder::payload_limit). Default: 2 MB
    /// ([`PAYLOAD_LIMIT`](crate::PAYLOAD_LIMIT)).
    #[must_use]
    pub fn payload_limit(mut self, bytes: usize) -> Self {
        self.encoder.limit = bytes;
        self
    }

    pub(crate) fn encoding(mut self, encoder: Encoder) -> Self {
        self.encoder = encoder;
        self
    }

    /// The most starts of this client and its clones that wait to be sent to the store. Default:
    /// 10,000 (and 64 MiB) of those with ids of yours, and as many of those without. A start
    /// beyond that is refused at once with [`ClientError::Overloaded`], which says when to try
    /// again: a store that is slow, or away, costs a bounded amount of memory.
    #[must_use]
    pub fn max_waiting_starts(self, starts: usize) -> Self {
        self.parts.starts.set_max_waiting(starts);
        self
    }

    /// Begins to start a run: give it an id and await it. Costs one write; the run is durable
    /// when the await ends.
    ///
    /// Starting the same id again gives the run that exists ([`RunHandle::is_new`] says which),
    /// so that a start can be repeated until it is answered.
    pub fn start<W: Workflow>(&self, call: WorkflowCall<W>) -> StartRun<W> {
        StartRun::new(self.clone(), call)
    }

    /// Finds a run of this workflow again.
    pub async fn attach<W: Workflow>(&self, id: impl AsRef<str>) -> Result<RunHandle<W>, ClientError> {
        let view = self.get(id).await?;
        if !W::definition().is_called(&view.workflow) {
            return Err(ClientError::OtherWorkflow { id: view.id, workflow: view.workflow, wanted: W::NAME });
        }
        Ok(RunHandle::new(self.clone(), view.id, view.execution))
    }

    /// The newest execution of a run, as it stands.
    pub async fn get(&self, id: impl AsRef<str>) -> Result<RunView, ClientError> {
        let id = RunId::new(id)?;
        self.parts.store.get(&id).await?.ok_or(ClientError::NoRun { id })
    }

    /// Lists runs, newest first, a page at a time.
    pub async fn list(&self, query: &Query) -> Result<Page, ClientError> {
        Ok(self.parts.store.list(query).await?)
    }

    /// A run with its journal.
    pub async fn show(&self, id: impl AsRef<str>) -> Result<RunDetails, ClientError> {
        let view = self.get(id).await?;
        show::details(&*self.parts.store, view).await
    }

    /// Asks a run to stop: it is dropped at its current await, its steps are undone, and it ends
    /// as cancelled. Returns when the request is durable, not when the run has ended. A run that
    /// is being undone already goes on with that. One that is past its pivot is not cancelled: that
    /// is an error here, and if it passes it only now, the journal shows the request and the run
    /// goes on. Costs a read of the run's journal.
    pub async fn cancel(&self, id: impl AsRef<str>) -> Result<(), ClientError> {
        self.cancel_because(id, None).await
    }

    /// The same, with a reason for whoever reads the journal.
    pub async fn cancel_because(
        &self,
        id: impl AsRef<str>,
        reason: impl Into<Option<String>>,
    ) -> Result<(), ClientError> {
        let view = self.get(id).await?;
        let to = Target::Run(view.id.clone());
        self.cancel_run(view, to, reason.into()).await.map(drop)
    }

    /// Sends a cancel to a run, unless it would be refused.
    pub(crate) async fn cancel_run(
        &self,
        view: RunView,
        to: Target,
        reason: Option<String>,
    ) -> Result<ExecutionId, ClientError> {
        if !view.state.is_final() {
            pivot::refuse_cancel(&*self.parts.store, &view).await?;
        }
        self.send_body(to, view.id, &MessageBody::Cancel(CancelRequest { reason })).await
    }

    /// Ends a run at once, without undo: nothing that it did is taken back, and what is under way
    /// is dropped or, on another worker, has no say any more. The last word about a run that must
    /// stop whatever it costs; [`Client::cancel`] undoes. The run's outcome is
    /// [`Outcome::Terminated`].
    ///
    /// Reads the journal and appends one record at its head, so that the run's worker has its next
    /// append refused. A crash on either side changes nothing: the run is terminated if, and only
    /// if, that record is there.
    ///
    /// ```no_run
    /// # async fn example(client: saga_runtime::Client) -> Result<(), saga_runtime::ClientError> {
    /// client.terminate("ORD-1", "fraud".to_owned()).await?;
    /// # Ok(()) }
    /// ```
    pub async fn terminate(&self, id: impl AsRef<str>, reason: impl Into<Option<String>>) -> Result<(), ClientError> {
        self.terminate_run(&RunId::new(id)?, &Subject::Run, reason.into()).await
    }

    async fn terminate_run(&self, id: &RunId, subject: &Subject, reason: Option<String>) -> Result<(), ClientError> {
        let conclusion = Conclusion::Terminated(CancelRequest { reason });
        let execution = operate::append(self, id, subject, |records| match operate::conclusion(records) {
            // One that goes on ends here if nobody can start the execution in which it would.
            None | Some(Conclusion::Dead { .. } | Conclusion::Continued { .. }) => {
                Ok(operate::Append::end(conclusion.clone()))
            }
            Some(_) => Err(ClientError::HasEnded { id: id.clone() }),
        })
        .await?;
        self.parts.endings.publish(execution, &Arc::new(conclusion));
        Ok(())
    }

    /// Stops a run until it is resumed. Attempts that are under way end and are recorded; nothing
    /// else is attempted, timers wait, and the run leaves memory. Events and cancels that come
    /// meanwhile are kept, and take effect when it is resumed. Survives restarts.
    ///
    /// Returns when the request is durable; the run's worker records it, which is when the state is
    /// [`RunState::Suspended`](crate::store::RunState::Suspended). A run that is suspended already
    /// stays so. Costs one message and one record.
    pub async fn suspend(&self, id: impl AsRef<str>) -> Result<(), ClientError> {
        let id = RunId::new(id)?;
        let body = MessageBody::Suspend(CancelRequest::default());
        self.send_body(Target::Run(id.clone()), id, &body).await.map(drop)
    }

    /// Lets a suspended run go on, with what came meanwhile. One that is not suspended does not
    /// mind. Costs one message and one record.
    pub async fn resume(&self, id: impl AsRef<str>) -> Result<(), ClientError> {
        let id = RunId::new(id)?;
        let body = MessageBody::Resume(CancelRequest::default());
        self.send_body(Target::Run(id.clone()), id, &body).await.map(drop)
    }

    /// Sends an event to the newest execution of a run, whatever its workflow. Returns when it is
    /// durable; the run receives it once. Events that one caller sends one after another come in their
    /// order; a run takes those of each type in the order in which they came.
    ///
    /// ```no_run
    /// # use saga_runtime::prelude::*;
    /// # #[derive(serde::Serialize, serde::Deserialize, Event)]
    /// # struct Approval { by: String }
    /// # async fn example(client: Client) -> Result<(), saga_runtime::ClientError> {
    /// client.send("ORD-1", Approval { by: "ann".to_owned() }).await?;
    /// # Ok(()) }
    /// ```
    pub fn send<E: Event>(&self, id: impl AsRef<str>, event: E) -> Sending<'_> {
        let (id, value) = (RunId::new(id), self.encoder.encode(&event));
        Sending::new(async move {
            let (id, value) = (id?, value?);
            let body = MessageBody::Event(EventMessage { name: E::NAME.to_owned(), value });
            self.send_body(Target::Run(id.clone()), id, &body).await.map(drop)
        })
    }

    /// Sends an event by its durable name, with its value as JSON: for programs that do not have its
    /// type. The text is recorded as it is, to the last digit of its numbers. Returns when it is
    /// durable; the run receives it once, in order.
    ///
    /// The text must be JSON, and if an event type of this name is linked into this program, be one
    /// of its values; both are checked before anything is sent. A value that only the run's worker
    /// can tell to be none of the type is recorded there as refused, and does the run no harm.
    ///
    /// ```no_run
    /// # async fn example(client: saga_runtime::Client) -> Result<(), saga_runtime::ClientError> {
    /// client.send_json("ORD-1", "Approval", r#"{ "by": "ann" }"#).await?;
    /// # Ok(()) }
    /// ```
    pub async fn send_json(
        &self,
        id: impl AsRef<str>,
        name: impl Into<String>,
        json: impl AsRef<str>,
    ) -> Result<(), ClientError> {
        let (id, name, json) = (RunId::new(id)?, name.into(), json.as_ref());
        let refused = |why: String| ClientError::Event { name: name.clone(), why };
        let value = self.encoder.json(json).map_err(|error| refused(error.to_string()))?;
        if let Some(why) = crate::event::unreadable(&name, &value) {
            return Err(refused(why.to_string()));
        }
        let body = MessageBody::Event(EventMessage { name, value });
        self.send_body(Target::Run(id.clone()), id, &body).await.map(drop)
    }

    /// Puts a message into the inbox of a run, of its next execution if it goes on; says of which.
    pub(crate) async fn send_body(
        &self,
        to: Target,
        id: RunId,
        body: &MessageBody,
    ) -> Result<ExecutionId, ClientError> {
        let parts = &self.parts;
        let letter = Letter { id: parts.entropy.message(parts.clock.now()), to, run: id, body: body.to_bytes() };
        sending::deliver(&parts.mail(), &*parts.clock, letter).await
    }
}

impl Parts {
    /// How messages get into inboxes here.
    fn mail(&self) -> Mail<'_> {
        Mail { store: &*self.store, worker: self.worker.as_deref().map(|worker| (worker, &self.spawner)) }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("store", &self.parts.store.kind()).finish_non_exhaustive()
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        for task in [&mut self.watcher, &mut self.poller] {
            if let Some(task) = task.get_mut().unwrap_or_else(PoisonError::into_inner) {
                task.abort();
            }
        }
    }
}
