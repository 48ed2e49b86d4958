//! What layers around a start see of it, and how the innermost of them gets it made.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use saga_store::{ErrorKind, ExecutionId, RunId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};

use super::ClientError;
use crate::call::CallOptions;
use crate::codec::{self, CodecError, Encoder};

/// The start of a run, as a layer around it sees it. See [`Client::layer`](crate::Client::layer).
///
/// A clone is the same start: whichever of them are passed on, there is one run. So a layer that
/// repeats a start whose answer was lost gets the run of the first try, also where nobody has chosen
/// an id. What a layer says of the run counts with the first try that reaches the store.
///
/// ```
/// use saga_runtime::layer::Start;
///
/// fn by_tenant(mut start: Start, tenant: &str) -> Start {
///     if start.lane().is_none() {
///         start.set_lane(tenant);
///     }
///     start.set_attribute("tenant", tenant);
///     start
/// }
/// ```
#[derive(Clone)]
pub struct Start {
    options: CallOptions,
    door: Arc<Door>,
}

impl Start {
    pub(super) fn new(options: CallOptions, door: &Arc<Door>) -> Self {
        Self { options, door: Arc::clone(door) }
    }

    pub(super) fn options(&self) -> &CallOptions {
        &self.options
    }

    pub(super) fn door(&self) -> &Arc<Door> {
        &self.door
    }

    /// The durable name of the workflow.
    pub fn workflow(&self) -> &'static str {
        self.door.workflow
    }

    /// The version of the workflow.
    pub fn version(&self) -> u32 {
        self.door.version
    }

    /// The id that the caller has chosen; `None` if the run gets a fresh one.
    pub fn id(&self) -> Option<&str> {
        self.options.id.as_deref()
    }

    /// The lane by which workers share out their slots, if the start names one.
    pub fn lane(&self) -> Option<&str> {
        self.options.lane.as_deref()
    }

    /// Names the lane. See [`StartRun::lane`](crate::StartRun::lane).
    pub fn set_lane(&mut self, lane: impl Into<String>) {
        self.options.lane = Some(lane.into());
    }

    /// The run's priority within its lane; 0 if the start says none.
    pub fn priority(&self) -> i16 {
        self.options.priority.unwrap_or_default()
    }

    /// Sets the priority: higher goes first within a lane.
    pub fn set_priority(&mut self, priority: i16) {
        self.options.priority = Some(priority);
    }

    /// The search attributes: name and value.
    pub fn attributes(&self) -> &[(String, String)] {
        &self.options.attributes
    }

    /// Sets a search attribute, in place of those of the same name.
    pub fn set_attribute(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let name = name.into();
        self.options.attributes.retain(|(other, _)| *other != name);
        self.options.attributes.push((name, value.into()));
    }

    /// How long after it may begin the run is cancelled if it has not ended.
    pub fn deadline(&self) -> Option<Duration> {
        self.options.deadline
    }

    /// Sets the deadline. See [`StartRun::deadline`](crate::StartRun::deadline).
    pub fn set_deadline(&mut self, deadline: Duration) {
        self.options.deadline = Some(deadline);
    }

    /// What is noted beside the run; `None` if nothing is.
    ///
    /// # Errors
    ///
    /// If what is noted is no `T`.
    pub fn memo<T: DeserializeOwned>(&self) -> Result<Option<T>, CodecError> {
        match &self.options.memo {
            Some(Ok(memo)) => codec::decode(memo).map(Some),
            Some(Err(error)) => Err(error.clone()),
            None => Ok(None),
        }
    }

    /// Notes something beside the run, in place of what was noted: who asks for it, say. The run's
    /// attempts read it with [`ActivityContext::memo`](crate::ActivityContext::memo). One that cannot be
    /// encoded, or has more than 64 KiB, is an error of the start.
    pub fn set_memo<T: Serialize + ?Sized>(&mut self, memo: &T) {
        self.options.memo = Some(Encoder::default().encode(memo));
    }
}

impl fmt::Debug for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Start")
            .field("workflow", &self.door.workflow)
            .field("id", &self.id())
            .field("lane", &self.lane())
            .finish_non_exhaustive()
    }
}

/// What a start has answered: the run that is there. Only the start itself makes one.
///
/// ```
/// use saga_runtime::layer::Begun;
///
/// fn log(begun: &Begun) {
///     println!("{} {}", if begun.is_new() { "started" } else { "found" }, begun.id());
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    pub(super) id: RunId,
    pub(super) execution: ExecutionId,
    pub(super) is_new: bool,
}

impl Begun {
    /// The run's name.
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// The run's execution.
    pub fn execution(&self) -> ExecutionId {
        self.execution
    }

    /// Whether this start made the run; if not it existed before.
    pub fn is_new(&self) -> bool {
        self.is_new
    }
}

/// The innermost service asks the caller's own future for the start, with what the layers say of it.
pub(super) struct Ask {
    pub(super) start: Start,
    pub(super) answer: oneshot::Sender<Result<Begun, ClientError>>,
}

/// Where all tries of one start come to the future that makes it.
pub(super) struct Door {
    workflow: &'static str,
    version: u32,
    id: RunId,
    asks: mpsc::UnboundedSender<Ask>,
    /// One of the three below.
    made: AtomicU8,
}

const NOT_MADE: u8 = 0;
const UNKNOWN: u8 = 1;
const MADE: u8 = 2;

impl Door {
    pub(super) fn new(workflow: &'static str, version: u32, id: RunId) -> (Arc<Self>, mpsc::UnboundedReceiver<Ask>) {
        // As many as the layers ask for at a time: one, but for those that hedge.
        let (asks, asked) = mpsc::unbounded_channel();
        (Arc::new(Self { workflow, version, id, asks, made: AtomicU8::new(NOT_MADE) }), asked)
    }

    /// Has the start made.
    pub(super) async fn ask(self: Arc<Self>, start: Start) -> Result<Begun, ClientError> {
        let (answer, answered) = oneshot::channel();
        // Without anybody there the answer is dropped with it.
        let _ = self.asks.send(Ask { start, answer });
        answered.await.unwrap_or_else(|_| Err(self.refused("nobody waits for the start any more")))
    }

    /// The start is on its way to the store; gives back what was known before.
    pub(super) fn sends(&self) -> u8 {
        self.made.fetch_max(UNKNOWN, Ordering::Relaxed)
    }

    /// The start was answered.
    pub(super) fn answered(&self, before: u8, error: Option<&ClientError>) {
        match error {
            None => self.made.store(MADE, Ordering::Relaxed),
            Some(ClientError::Store(error)) if error.kind() == ErrorKind::Unavailable => {}
            Some(_) => self.made.store(before, Ordering::Relaxed),
        }
    }

    /// The error of a layer, as the caller gets it: one of the client comes out as itself.
    pub(super) fn refused(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ClientError {
        let source = match error.into().downcast::<ClientError>() {
            Ok(error) => return *error,
            Err(source) => source,
        };
        let started = match self.made.load(Ordering::Relaxed) {
            NOT_MADE => Some(false),
            MADE => Some(true),
            _ => None,
        };
        ClientError::Layer { workflow: self.workflow, id: self.id.clone(), started, source }
    }
}
