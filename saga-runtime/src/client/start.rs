//! Starting a run.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use saga_store::message::{EventMessage, MessageBody};
use saga_store::wire::{Entry, INLINE_LIMIT, Record, RunStarted, RunTerms, encode};
use saga_store::{ErrorKind, ExecutionId, NewRun, OnExisting, RunId, Started, Timestamp};

use serde::Serialize;

use super::draft::{Draft, Order, newborn};
use super::layers::StartLayers;
use super::passage::Passage;
use super::seat::Seat;
use super::starts;
use super::{Client, ClientError, RunHandle};
use crate::awaited::may_await;
use crate::call::{CallOptions, WorkflowCall};
use crate::codec::CodecError;
use crate::event::Event;
use crate::externalize::externalize;
use crate::workflow::Workflow;

/// A run about to be started: set what is wanted, then await it.
#[must_use = "a run is started when this is awaited: add `.await`"]
pub struct StartRun<W: Workflow> {
    pub(super) client: Client,
    pub(super) call: WorkflowCall<W>,
    events: Vec<Result<Bytes, CodecError>>,
    /// An event among them that the workflow never awaits.
    unheard: Option<&'static str>,
    on_existing: OnExisting,
}

impl<W: Workflow> StartRun<W> {
    pub(super) fn new(client: Client, call: WorkflowCall<W>) -> Self {
        Self { client, call, events: Vec::new(), unheard: None, on_existing: OnExisting::Return }
    }

    /// Sets what a call can set as well.
    fn call(mut self, set: impl FnOnce(WorkflowCall<W>) -> WorkflowCall<W>) -> Self {
        self.call = set(self.call);
        self
    }

    /// Names the run: 1 to 512 bytes without control characters. The same id again gives the same
    /// run. Without it the run gets a fresh id.
    pub fn id(self, id: impl Into<String>) -> Self {
        self.call(|call| call.id(id))
    }

    /// The lane (a tenant, say) by which workers share out their slots.
    pub fn lane(self, lane: impl Into<String>) -> Self {
        self.call(|call| call.lane(lane))
    }

    /// Higher goes first within a lane.
    pub fn priority(self, priority: i16) -> Self {
        self.call(|call| call.priority(priority))
    }

    /// Begins the run that much later. It is there at once, and can be cancelled; events that come
    /// earlier are kept. The moment is recorded with the start.
    pub fn delay(self, delay: Duration) -> Self {
        self.call(|call| call.delay(delay))
    }

    /// Begins the run at this moment of the store's clock; at once if it has passed. See
    /// [`StartRun::delay`].
    pub fn at(self, moment: impl Into<Timestamp>) -> Self {
        self.call(|call| call.at(moment))
    }

    /// Cancels the run, and so undoes it, if it has not ended so long after it may begin (see
    /// [`StartRun::delay`]). The moment is recorded with the start: a crash does not extend it. An
    /// undo that is under way then goes on; a run that is suspended then is cancelled when it is
    /// resumed.
    pub fn deadline(self, deadline: Duration) -> Self {
        self.call(|call| call.deadline(deadline))
    }

    /// Adds a search attribute, by which runs can be listed.
    pub fn attribute(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.call(|call| call.attribute(name, value))
    }

    /// Notes something beside the run, which lists and `show` give back and nobody searches.
    /// Recorded as JSON with the start; 64 KiB at most, since lists read it.
    pub fn memo<T: Serialize + ?Sized>(self, memo: &T) -> Self {
        self.call(|call| call.memo(memo))
    }

    /// Sends the run an event in the same write: it is there when, and only when, the run is. An id
    /// that exists already gets no event. May be said several times; the run receives them in order. One
    /// that the workflow never awaits is an error of the start, as [`RunHandle::send`] says.
    pub fn with_event<E: Event>(mut self, event: E) -> Self {
        if !may_await::<W, E>() {
            self.unheard.get_or_insert(E::NAME);
        }
        let value = self.client.encoder.encode(&event);
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

    async fn start(mut self) -> Result<RunHandle<W>, ClientError> {
        let (fresh, now) = self.fresh()?;
        let options = std::mem::take(&mut self.call.options);
        self.make(&fresh, &options, now, None).await
    }

    async fn start_through(mut self, layers: Arc<StartLayers>) -> Result<RunHandle<W>, ClientError> {
        let (fresh, mut passage) = self.enter(&layers)?;
        let mut sent = None;
        while let Some((start, asker)) = passage.asked().await {
            let now = self.client.parts.clock.now();
            passage.make(asker, self.make(&fresh, start.options(), now, Some(&mut sent))).await;
        }
        passage.end()
    }

    pub(super) fn fresh(&self) -> Result<(Fresh, Timestamp), ClientError> {
        let parts = &self.client.parts;
        let now = parts.clock.now();
        let execution = parts.entropy.execution(now);
        let (id, named) = match &self.call.options.id {
            Some(id) => (RunId::new(id)?, true),
            None => (RunId::new(execution.to_string())?, false),
        };
        Ok((Fresh { id, execution, named }, now))
    }

    /// Sends the start into the layers, which have what the call says.
    pub(super) fn enter(&mut self, layers: &StartLayers) -> Result<(Fresh, Passage<W>), ClientError> {
        let (fresh, _) = self.fresh()?;
        let options = std::mem::take(&mut self.call.options);
        let passage = Passage::new(layers, fresh.id.clone(), options);
        Ok((fresh, passage))
    }

    /// Starts the run. What was `sent` before and may have been applied is sent again unchanged: the
    /// run's worker may be finding out about it.
    async fn make(
        &mut self,
        fresh: &Fresh,
        options: &CallOptions,
        now: Timestamp,
        mut sent: Option<&mut Option<Draft>>,
    ) -> Result<RunHandle<W>, ClientError> {
        starts::check(&self.client.parts, fresh.named)?;
        let mut name = W::NAME.to_owned();
        let started = loop {
            let before = sent.as_mut().and_then(|sent| sent.take());
            let again = before.is_some();
            let draft = match before {
                Some(draft) => draft,
                None => self.draft(fresh, &name, options, now)?,
            };
            if again {
                name.clone_from(&draft.new.workflow);
            }
            let answer = Self::send(&self.client, draft, fresh.named, again, sent.as_deref_mut()).await;
            if let Some(sent) = sent.as_mut().filter(|_| !may_be_there(&answer, fresh.execution)) {
                **sent = None;
            }
            match had_other_name::<W>(answer?, &name) {
                Ok(started) => break started,
                Err(other) => name = other,
            }
        };
        self.handle(fresh, started)
    }

    pub(super) fn handle(&self, fresh: &Fresh, started: Started) -> Result<RunHandle<W>, ClientError> {
        let rejects = self.on_existing == OnExisting::Reject;
        // What a layer had sent again was there already.
        let layered = self.client.layers.is_some();
        let started = if layered { starts::mine(started, fresh.execution) } else { started };
        handle(self.client.clone(), fresh.id.clone(), fresh.execution, started, rejects)
    }

    /// Sends a start, and gives the wait for its answer. What is sent travels with the order, so that whoever
    /// waits is small.
    fn send(
        client: &Client,
        mut draft: Draft,
        named: bool,
        again: bool,
        kept: Option<&mut Option<Draft>>,
    ) -> impl Future<Output = Result<Started, ClientError>> + Send + use<W> {
        let parts = Arc::clone(&client.parts);
        let new = &mut draft.new;
        let worker = parts.worker.as_ref().filter(|_| new.not_before.is_none());
        let mut seat = worker.and_then(|worker| Seat::take(worker, new));
        if again {
            seat = seat.filter(|seat| new.claim_for == Some(seat.of()));
        } else {
            new.claim_for = seat.as_ref().map(Seat::of);
        }
        if let Some(kept) = kept {
            *kept = Some(draft.clone());
        }
        let answered = starts::start(&parts, Box::new(Order { draft, seat }), named);
        async move {
            let (started, order) = answered.await.unwrap_or_else(|_| Err(starts::unanswered()))?;
            // The place is kept until the run has it.
            let Order { draft: Draft { new, whole, large }, seat: _seat } = *order;
            if started == Started::New
                && let (Some(claimed_for), Some(worker)) = (new.claim_for, &parts.worker)
            {
                // The worker gets what was written, large payloads included, without a read.
                let body = if large { whole.to_bytes() } else { new.first.clone() };
                worker.launch(newborn(new, whole.at(), body), whole, W::definition(), claimed_for);
            }
            Ok(started)
        }
    }

    pub(super) fn draft(
        &self,
        fresh: &Fresh,
        workflow: &str,
        options: &CallOptions,
        now: Timestamp,
    ) -> Result<Draft, ClientError> {
        let parts = &self.client.parts;
        let Fresh { id, execution, .. } = fresh;
        let input = self.client.encoder.encode(self.call.input())?;
        let input_digest = input.inline().map_or(0, |bytes| digest(bytes));
        let is_large = input.len() > INLINE_LIMIT as u64;
        let memo = options.memo()?;
        if let Some(event) = self.unheard {
            return Err(ClientError::NotAwaited { id: id.clone(), event, workflow: W::NAME });
        }
        let events = self.events.iter().cloned().collect::<Result<Vec<_>, _>>()?;
        let not_before = options.begins_at(now);
        let terms = RunTerms {
            deadline: options.ends_by(now).map(Timestamp::as_micros),
            begin: not_before.map(Timestamp::as_micros),
            undo_continues: W::definition().undo_continues.then_some(true),
            ..RunTerms::default()
        };
        let started = RunStarted {
            workflow: workflow.to_owned(),
            version: W::VERSION,
            id: id.as_str().to_owned(),
            input,
            seed: parts.entropy.word(),
            terms: (terms != RunTerms::default()).then_some(terms),
            parent: None,
        };
        let mut entries = vec![Entry::Started(Box::new(started))];
        let whole = is_large.then(|| Record::new(now, entries.clone()));
        let blobs = externalize(&mut entries, &parts.entropy, now);
        let record = Record::new(now, entries);
        let new = NewRun {
            id: id.clone(),
            execution: *execution,
            workflow: workflow.to_owned(),
            version: W::VERSION,
            lane: options.lane.clone().unwrap_or_default(),
            priority: options.priority.unwrap_or_default(),
            not_before,
            attributes: options.attributes.clone(),
            memo: memo.as_ref().map(encode),
            input_digest,
            first: record.to_bytes(),
            nonce: parts.entropy.nonce(),
            blobs,
            messages: events.into_iter().map(|body| (parts.entropy.message(now), body)).collect(),
            claim_for: None,
            on_existing: self.on_existing,
        };
        Ok(Draft { new, whole: whole.unwrap_or(record), large: is_large })
    }
}

/// What is the same however often a start is sent.
pub(super) struct Fresh {
    id: RunId,
    pub(super) execution: ExecutionId,
    /// Whether the caller chose the id.
    named: bool,
}

/// Whether a start that was answered so may have made the run.
fn may_be_there(answer: &Result<Started, ClientError>, of: ExecutionId) -> bool {
    match answer {
        Ok(Started::New) => true,
        Ok(Started::Existing { execution, .. }) => *execution == of,
        Ok(_) => false,
        Err(error) => matches!(error, ClientError::Store(error) if error.kind() == ErrorKind::Unavailable),
    }
}

/// The name under which the run that is there was started, if the workflow had another one then.
pub(super) fn had_other_name<W: Workflow>(started: Started, name: &str) -> Result<Started, String> {
    match started {
        Started::Conflict { workflow } if workflow != name && W::definition().is_called(&workflow) => Err(workflow),
        started => Ok(started),
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

impl<W: Workflow> IntoFuture for StartRun<W> {
    type Output = Result<RunHandle<W>, ClientError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        match self.client.layers.clone() {
            None => Box::pin(self.start()),
            Some(layers) => Box::pin(self.start_through(layers)),
        }
    }
}

impl<W: Workflow> std::fmt::Debug for StartRun<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StartRun")
            .field("workflow", &W::NAME)
            .field("id", &self.call.options.id)
            .finish_non_exhaustive()
    }
}

/// FNV-1a: the same for all builds and machines.
pub(crate) fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
