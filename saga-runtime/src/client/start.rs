//! Starting a run.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use saga_store::message::{EventMessage, InboxMessage, MessageBody};
use saga_store::wire::{Entry, INLINE_LIMIT, Payload, Record, RunStarted, RunTerms, encode};
use saga_store::{
    ExecutionId, JournalRow, LoadedRun, MessageId, NewRun, OnExisting, RunId, RunState, RunView, Seq, StartTx, Started,
    StoreError, Timestamp, TxFamily,
};

use serde::Serialize;

use super::{Client, ClientError, RunHandle, starts};
use crate::call::{CallOptions, WorkflowCall};
use crate::codec::{self, CodecError};
use crate::event::Event;
use crate::externalize::externalize;
use crate::workflow::Workflow;

/// When a run begins.
enum Begin {
    Now,
    After(Duration),
    At(Timestamp),
}

/// A run about to be started: set what is wanted, then await it.
#[must_use = "a run is started when this is awaited: add `.await`"]
pub struct StartRun<W: Workflow> {
    client: Client,
    call: WorkflowCall<W>,
    id: Option<String>,
    lane: String,
    priority: i16,
    begin: Begin,
    deadline: Option<Duration>,
    attributes: Vec<(String, String)>,
    memo: Option<Result<Payload, CodecError>>,
    events: Vec<Result<Bytes, CodecError>>,
    on_existing: OnExisting,
}

impl<W: Workflow> StartRun<W> {
    pub(super) fn new(client: Client, call: WorkflowCall<W>) -> Self {
        let CallOptions { id, lane, priority, .. } = call.options.clone();
        Self {
            client,
            call,
            id,
            lane,
            priority,
            begin: Begin::Now,
            deadline: None,
            attributes: Vec::new(),
            memo: None,
            events: Vec::new(),
            on_existing: OnExisting::Return,
        }
    }

    /// Names the run: 1 to 512 bytes without control characters. The same id again gives the same
    /// run. Without it the run gets a fresh id.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The lane (a tenant, say) by which workers share out their slots.
    pub fn lane(mut self, lane: impl Into<String>) -> Self {
        self.lane = lane.into();
        self
    }

    /// Higher goes first within a lane.
    pub fn priority(mut self, priority: i16) -> Self {
        self.priority = priority;
        self
    }

    /// Begins the run that much later. It is there at once, and can be cancelled; events that come
    /// earlier are kept. The moment is recorded with the start.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.begin = Begin::After(delay);
        self
    }

    /// Begins the run at this moment of the store's clock; at once if it has passed. See
    /// [`StartRun::delay`].
    pub fn at(mut self, moment: Timestamp) -> Self {
        self.begin = Begin::At(moment);
        self
    }

    /// Cancels the run, and so undoes it, if it has not ended so long after it may begin (see
    /// [`StartRun::delay`]). The moment is recorded with the start: a crash does not extend it. An
    /// undo that is under way then goes on; a run that is suspended then is cancelled when it is
    /// resumed.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Adds a search attribute, by which runs can be listed.
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push((name.into(), value.into()));
        self
    }

    /// Notes something beside the run, which lists and `show` give back and nobody searches.
    /// Recorded as JSON with the start; 64 KiB at most, since lists read it.
    pub fn memo<T: Serialize + ?Sized>(mut self, memo: &T) -> Self {
        self.memo = Some(codec::encode(memo));
        self
    }

    /// Sends the run an event in the same write: it is there when, and only when, the run is. An id
    /// that exists already gets no event. May be said several times; the run receives them in order.
    pub fn with_event<E: Event>(mut self, event: E) -> Self {
        let value = codec::encode(&event);
        let body = value.map(|value| MessageBody::Event(EventMessage { name: E::NAME.to_owned(), value }).to_bytes());
        self.events.push(body);
        self
    }

    /// What to do if a run of this id exists: answer with it ([`OnExisting::Return`], the default),
    /// take it for an error ([`OnExisting::Reject`]), or start a new execution in place of one that
    /// has ended ([`OnExisting::ReplaceFinished`]). A run of another workflow is always an error.
    pub fn on_existing(mut self, policy: OnExisting) -> Self {
        self.on_existing = policy;
        self
    }

    /// Starts a new execution if the run of this id has ended.
    pub fn replace_finished(self) -> Self {
        self.on_existing(OnExisting::ReplaceFinished)
    }

    /// Starts the run within a transaction of the program's own: the run is there if, and only
    /// if, that commits. Takes a `&mut PostgresTx<'_>`, of a transactional activity or of
    /// `PostgresStore::begin`, or a `&mut tokio_postgres::Transaction<'_>` of any connection with
    /// the store's database.
    ///
    /// Nothing is told to the workers from within the transaction, since it may yet be rolled
    /// back. A `PostgresTx` tells them when it is committed; after the commit of any other, call
    /// [`RunHandle::committed`], or a worker finds the run within ten seconds. A handle's other
    /// methods find the run once it is committed.
    ///
    /// Costs a round trip or two. An id that another open transaction has started is waited for,
    /// for as long as the transaction's `lock_timeout` or `statement_timeout` says; other starts
    /// and all runs go on. An error of the store fails the whole transaction.
    pub fn within<F, T>(self, tx: &mut T) -> StartWithin<'_, W>
    where
        F: TxFamily,
        T: StartTx<F>,
    {
        let client = self.client.clone();
        let starting = async move {
            let parts = &client.parts;
            let kind = parts.store.kind();
            let now = parts.clock.now();
            let execution = parts.entropy.execution(now);
            let id = match &self.id {
                Some(id) => RunId::new(id)?,
                None => RunId::new(execution.to_string())?,
            };
            let (mut new, _) = self.new_run(id.clone(), execution, now)?;
            // Nobody knows whether it will be there.
            new.claim_for = None;
            let rejects = new.on_existing == OnExisting::Reject;
            let Some(schema) = parts.store.start_within(&mut new).filter(|_| kind == F::STORE_KIND) else {
                let message = format!(
                    "a run of a \"{kind}\" store cannot be started within a transaction of a \"{}\" database",
                    F::STORE_KIND
                );
                return Err(StoreError::new(saga_store::ErrorKind::Invalid, message).into());
            };
            let started = tx.start(schema, new).await?;
            handle(client.clone(), id, execution, started, rejects)
        };
        StartWithin(Box::pin(starting))
    }

    async fn start(self) -> Result<RunHandle<W>, ClientError> {
        let client = self.client.clone();
        let parts = &client.parts;
        let now = parts.clock.now();
        let execution = parts.entropy.execution(now);
        let id = match &self.id {
            Some(id) => RunId::new(id)?,
            None => RunId::new(execution.to_string())?,
        };
        let named = self.id.is_some();
        starts::check(parts, named)?;
        let (new, entry) = self.new_run(id.clone(), execution, now)?;
        let (claimed, nonce, first) = (new.claim_for, new.nonce, new.first.clone());
        let view = newborn_view(&new, now);
        let rejects = new.on_existing == OnExisting::Reject;
        let replaces = new.on_existing == OnExisting::ReplaceFinished;
        let inbox = inbox_of(&new, now);
        let again = claimed.is_some().then(|| new.clone());
        let started = match starts::start(parts, new, named).await {
            Ok(started) => started,
            Err(error) => {
                if let (Some(worker), Some(new), true) = (&parts.worker, again, error.is_retryable()) {
                    worker.resolve_start(new);
                }
                return Err(error.into());
            }
        };
        if started == Started::New
            && let (Some(claimed_for), Some(worker)) = (claimed, &parts.worker)
        {
            // The worker gets what was written, large payloads included, without a read.
            let body = if entry.is_some() { Record::new(now, entry.into_iter().collect()).to_bytes() } else { first };
            let row = JournalRow { seq: Seq::FIRST, nonce, more: false, body };
            let run = LoadedRun { view, journal: vec![row], inbox };
            worker.launch(run, W::definition(), claimed_for);
        }
        match started {
            // The run was started when the workflow had another name.
            Started::Conflict { workflow } if W::definition().is_called(&workflow) && !replaces => {
                let execution = client.get(id.as_str()).await?.execution;
                if rejects { Err(ClientError::Exists { id }) } else { Ok(RunHandle::new(client, id, execution)) }
            }
            started => handle(client, id, execution, started, rejects),
        }
    }

    /// The run as the store takes it, and its first entry if that had to be changed for it.
    fn new_run(
        self,
        id: RunId,
        execution: ExecutionId,
        now: Timestamp,
    ) -> Result<(NewRun, Option<Entry>), ClientError> {
        let parts = &self.client.parts;
        let input = codec::encode(self.call.input())?;
        let input_digest = input.inline().map_or(0, |bytes| digest(bytes));
        let is_large = input.len() > INLINE_LIMIT as u64;
        let memo = self.memo.transpose()?;
        if let Some(memo) = memo.as_ref().filter(|memo| memo.len() > INLINE_LIMIT as u64) {
            let why = format!("the memo has {} bytes, the limit is {INLINE_LIMIT}", memo.len());
            return Err(ClientError::Payload(CodecError::new(why)));
        }
        let events = self.events.into_iter().collect::<Result<Vec<_>, _>>()?;
        let not_before = match self.begin {
            Begin::Now => None,
            Begin::After(delay) => Some(now.after(delay)),
            Begin::At(moment) => Some(moment),
        };
        let deadline = self.deadline.map(|deadline| not_before.unwrap_or(now).max(now).after(deadline).as_micros());
        let undo_continues = W::definition().undo_continues.then_some(true);
        let begin = not_before.map(Timestamp::as_micros);
        let terms = RunTerms { deadline, begin, undo_continues, ..RunTerms::default() };
        let started = RunStarted {
            workflow: W::NAME.to_owned(),
            version: W::VERSION,
            id: id.as_str().to_owned(),
            input,
            seed: parts.entropy.word(),
            terms: (terms != RunTerms::default()).then_some(terms),
            parent: None,
        };
        let mut entries = vec![Entry::Started(started)];
        let whole = is_large.then(|| entries[0].clone());
        let blobs = externalize(&mut entries, &parts.entropy, now);
        let claim_for = match not_before {
            None => parts.worker.as_ref().and_then(|worker| worker.claims_for(W::NAME, W::VERSION)),
            Some(_) => None,
        };
        let new = NewRun {
            id,
            execution,
            workflow: W::NAME.to_owned(),
            version: W::VERSION,
            lane: self.lane,
            priority: self.priority,
            not_before,
            attributes: self.attributes,
            memo: memo.as_ref().map(encode),
            input_digest,
            first: Record::new(now, entries).to_bytes(),
            nonce: parts.entropy.nonce(),
            blobs,
            messages: events.into_iter().map(|body| (parts.entropy.message(now), body)).collect(),
            claim_for,
            on_existing: self.on_existing,
        };
        Ok((new, whole))
    }
}

/// The handle of a run that was started, or that was there already.
fn handle<W: Workflow>(
    client: Client,
    id: RunId,
    execution: ExecutionId,
    started: Started,
    rejects: bool,
) -> Result<RunHandle<W>, ClientError> {
    match started {
        // But for an answer to this very start that was lost.
        Started::Existing { execution: existing, .. } if rejects && existing != execution => {
            Err(ClientError::Exists { id })
        }
        Started::New => Ok(RunHandle::new(client, id, execution).started(true, false)),
        Started::Existing { execution, same_input, .. } => {
            Ok(RunHandle::new(client, id, execution).started(false, !same_input))
        }
        Started::Conflict { workflow } => Err(ClientError::OtherWorkflow { id, workflow, wanted: W::NAME }),
        Started::Rejected(why) => Err(ClientError::Rejected { id, why }),
    }
}

/// A run about to be started within a transaction: await it. See [`StartRun::within`].
#[must_use = "a run is started when this is awaited: add `.await`"]
pub struct StartWithin<'t, W>(Pin<Box<dyn Future<Output = Result<RunHandle<W>, ClientError>> + Send + 't>>);

impl<'t, W> IntoFuture for StartWithin<'t, W> {
    type Output = Result<RunHandle<W>, ClientError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 't>>;

    fn into_future(self) -> Self::IntoFuture {
        self.0
    }
}

impl<W> std::fmt::Debug for StartWithin<'_, W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StartWithin").finish_non_exhaustive()
    }
}

impl<W: Workflow> IntoFuture for StartRun<W> {
    type Output = Result<RunHandle<W>, ClientError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.start())
    }
}

impl<W: Workflow> std::fmt::Debug for StartRun<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StartRun").field("workflow", &W::NAME).field("id", &self.id).finish_non_exhaustive()
    }
}

/// A run that its worker begins to drive, as it is when it has just been started.
pub(crate) fn newborn_view(new: &NewRun, now: Timestamp) -> RunView {
    RunView {
        id: new.id.clone(),
        execution: new.execution,
        workflow: new.workflow.clone(),
        version: new.version,
        state: RunState::Running,
        created_at: now,
        updated_at: now,
        attributes: new.attributes.clone(),
        memo: new.memo.clone(),
        status: None,
        conclusion: None,
    }
}

fn inbox_of(new: &NewRun, now: Timestamp) -> Vec<InboxMessage> {
    let receive = |(position, (id, body)): (u64, &(MessageId, Bytes))| InboxMessage {
        position,
        id: *id,
        at: now,
        body: body.clone(),
    };
    (1..).zip(&new.messages).map(receive).collect()
}

/// FNV-1a: the same for all builds and machines.
pub(super) fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
