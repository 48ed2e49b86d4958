//! What an activity may ask about its attempt.

use std::any::{Any, TypeId, type_name};
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use super::later::CompletionToken;
use super::lifeline::Lifeline;
use super::scope::{OnBehalf, RunScope};
use super::sends::Sent;
use super::session::WorkerSession;
use crate::codec::{self, CodecError, Encoder};
use saga_store::wire::{INLINE_LIMIT, OpId, Payload, decode};
use saga_store::{ExecutionId, RunId, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A key that is equal for all attempts of a step and for no other step: give it to whoever
/// performs the effect, so that a repeated attempt has the effect once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdempotencyKey(Arc<str>);

impl IdempotencyKey {
    /// The longest key that a call may set.
    pub(crate) const LIMIT: usize = 200;

    /// Says what is wrong with a key that a call sets.
    pub(crate) fn check(key: &str) -> Result<(), String> {
        if key.is_empty() || key.len() > Self::LIMIT || key.contains(char::is_control) {
            let limit = Self::LIMIT;
            return Err(format!(
                "{key:?} is no idempotency key: one has 1 to {limit} bytes, without control characters"
            ));
        }
        Ok(())
    }

    pub(crate) fn of(execution: ExecutionId, op: &OpId, undo: bool) -> Self {
        let undo = if undo { "/undo" } else { "" };
        Self(format!("{execution}/{op}{undo}").into())
    }

    /// The key as text: what the call has set, or else at most 80 bytes for a step that is not deeply
    /// nested.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an activity may ask about its attempt. Take it as a `#[context]` parameter.
#[derive(Clone)]
pub struct ActivityContext {
    parts: Arc<ContextParts>,
    /// Most have none.
    extensions: Option<Arc<Extensions>>,
}

type Extensions = BTreeMap<TypeId, Arc<dyn Any + Send + Sync>>;

pub(crate) struct ContextParts {
    pub(crate) scope: Arc<RunScope>,
    /// Whose step it is, if that is another run's.
    pub(crate) on_behalf: Option<Arc<OnBehalf>>,
    pub(crate) activity: &'static str,
    /// Where the step is in the run that makes its attempts.
    pub(crate) op: OpId,
    /// The idempotency key that the call has set.
    pub(crate) key: Option<Arc<str>>,
    pub(crate) attempt: u32,
    pub(crate) undo: bool,
    /// How it is told to stop; none if it is never told.
    pub(crate) lifeline: Option<Arc<Lifeline>>,
    /// What earlier attempts said of how far they were.
    pub(crate) progress: Option<Payload>,
    /// It is within a transaction: it sends no events, and its signs of life have no meaning.
    pub(crate) in_transaction: bool,
    pub(crate) beats: Beats,
    /// The events that it has sent.
    pub(crate) sent: Sent,
}

impl ContextParts {
    pub(super) fn idempotency_key(&self) -> IdempotencyKey {
        match &self.key {
            Some(key) => IdempotencyKey(Arc::clone(key)),
            None => {
                let (execution, op) = self.step();
                IdempotencyKey::of(execution, op, self.undo)
            }
        }
    }

    /// The step and its run, whoever makes the attempt.
    fn step(&self) -> (ExecutionId, &OpId) {
        match self.on_behalf.as_deref() {
            Some(step) => (step.execution, &step.op),
            None => (self.scope.execution, &self.op),
        }
    }

    pub(super) fn execution(&self) -> ExecutionId {
        self.step().0
    }

    /// Its signs of life, if they have a meaning.
    fn beats(&self) -> Option<&Beats> {
        (!self.in_transaction).then_some(&self.beats)
    }
}

/// An attempt's signs of life.
pub(crate) struct Beats {
    /// In microseconds; nothing is asked of an attempt before it [begins](ActivityContext::begins).
    last: AtomicI64,
    /// The attempt was dropped; its thread may go on.
    dropped: AtomicBool,
}

impl Default for Beats {
    fn default() -> Self {
        Self { last: AtomicI64::new(i64::MIN), dropped: AtomicBool::new(false) }
    }
}

impl ActivityContext {
    pub(crate) fn new(parts: ContextParts) -> Self {
        Self { parts: Arc::new(parts), extensions: None }
    }

    /// The step's key: equal for all its attempts, also after a crash, and for no other step, unless
    /// the call has set one with [`.key(…)`](crate::ActivityCall::key).
    pub fn idempotency_key(&self) -> IdempotencyKey {
        self.parts.idempotency_key()
    }

    pub(super) fn parts(&self) -> &Arc<ContextParts> {
        &self.parts
    }

    /// The run that makes the attempt.
    pub(crate) fn scope(&self) -> &RunScope {
        &self.parts.scope
    }

    /// Where the step is in the run that makes its attempts.
    pub(crate) fn task(&self) -> &OpId {
        &self.parts.op
    }

    /// Which attempt this is, from 1. After a crash the count is a lower bound.
    pub fn attempt(&self) -> u32 {
        self.parts.attempt
    }

    /// The run's name.
    pub fn run_id(&self) -> &RunId {
        self.parts.on_behalf.as_ref().map_or(&self.parts.scope.id, |step| &step.run)
    }

    /// The run's execution.
    pub fn execution(&self) -> ExecutionId {
        self.parts.execution()
    }

    /// The step's place in the workflow's code.
    #[cfg(feature = "test")]
    pub(crate) fn op(&self) -> &OpId {
        self.parts.step().1
    }

    /// The [session](crate::session()) that the step is part of: what its steps keep in this process.
    /// `None` if the call names none, and for an attempt that any worker makes to find out what became
    /// of a step whose session was lost.
    pub fn session(&self) -> Option<&WorkerSession> {
        self.parts.scope.session.as_deref()
    }

    /// The activity's durable name.
    pub fn activity(&self) -> &'static str {
        self.parts.activity
    }

    /// How what it returns is written.
    pub(crate) fn encoder(&self) -> Encoder {
        self.parts.scope.common.encoder
    }

    /// Whether this attempt undoes a step.
    pub fn is_undo(&self) -> bool {
        self.parts.undo
    }

    /// Names this step to whoever shall say what became of it: for an activity with the option `later`,
    /// which only asks for something and leaves its output to others.
    ///
    /// The function returns [`Later`](crate::Later) when it has handed the token out; the step then
    /// waits, also out of memory, for [`Client::complete`](crate::Client::complete) or
    /// [`Client::fail`](crate::Client::fail), from any process that has the store. The `timeout` is
    /// that of the function; a `.deadline(…)` at the call limits the wait, which else is as long as it
    /// takes. Each attempt has a token of its own, and any of them completes the step, even before the
    /// function returns; a failure that is transient counts for its attempt only. If the worker dies before that is recorded the function is run again.
    ///
    /// Costs two records more than a step of another sort, or one more if the answer comes before
    /// the function returns: that it waits, and the answer. A cancel does not wait for the answer, unless the undo
    /// needs the output.
    ///
    /// ```
    /// use saga_runtime::prelude::*;
    /// use saga_runtime::{Client, Later};
    ///
    /// # async fn mail(to: &str, link: &str) -> saga_runtime::Result<()> { Ok(()) }
    /// #[activity(later)]
    /// async fn ask(#[context] cx: &ActivityContext, whom: String) -> saga_runtime::Result<Later<bool>> {
    ///     mail(&whom, &format!("https://shop.example/answer?token={}", cx.token())).await?;
    ///     Ok(Later::new())
    /// }
    ///
    /// #[workflow]
    /// async fn approved() -> saga_runtime::Result<bool> {
    ///     Ok(ask("ann@shop.example".to_owned()).await?)
    /// }
    ///
    /// async fn on_click(client: &Client, token: &str, yes: bool) -> Result<(), saga_runtime::ClientError> {
    ///     client.complete::<ask>(token, &yes).await
    /// }
    /// ```
    pub fn token(&self) -> CompletionToken {
        let (execution, op) = (self.parts.scope.execution, &self.parts.op);
        CompletionToken::of(execution, op, self.parts.attempt, self.parts.activity)
    }

    /// Says that the attempt is alive, and how far it is. If it ends without success the next
    /// attempt is told ([`progress`](Self::progress)), also after a crash and on another worker, so
    /// that it need not begin at the beginning.
    ///
    /// Each call encodes the value and keeps it in place of the one before, without IO, so call it as
    /// often as there is something to say. What costs is a record: it shares its flush with others,
    /// and stays in the journal until the run is purged. The first word of an attempt is recorded at
    /// once, later ones at most every 5 s, and rarer the longer the attempt takes: a crash loses at
    /// most the last 5 s of progress, or a twentieth of the attempt's time, and an attempt that takes
    /// a day costs some 150 records. What is not yet recorded when an attempt fails goes with the
    /// record of the failure. A value that is `null` in JSON, as `()` is, is a sign of life only: what
    /// was said before stands, and nothing is recorded.
    ///
    /// With `#[activity(heartbeat = "10s")]` an attempt that is silent for so long is ended as timed
    /// out. The attempts of a transactional activity begin at the beginning, since what an earlier one
    /// wrote is undone: from them nothing is recorded.
    ///
    /// ```
    /// # use saga_runtime::prelude::*;
    /// # async fn copy(row: u64) {}
    /// #[activity(timeout = "2h", heartbeat = "1m")]
    /// async fn copy_rows(#[context] cx: &ActivityContext, rows: u64) -> saga_runtime::Result<()> {
    ///     for row in cx.progress::<u64>()?.unwrap_or(0)..rows {
    ///         copy(row).await;
    ///         cx.heartbeat(&(row + 1))?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// If the value cannot be encoded, or has more than 64 KiB. It counts as a sign of life all the
    /// same.
    pub fn heartbeat<T: Serialize + ?Sized>(&self, progress: &T) -> Result<(), CodecError> {
        let Some(beats) = self.parts.beats() else { return Ok(()) };
        let board = &self.parts.scope.board;
        beats.last.store(board.now().as_micros(), Ordering::Relaxed);
        let progress = self.encoder().encode(progress)?;
        if progress.len() > INLINE_LIMIT as u64 {
            return Err(CodecError::new(format!(
                "the progress has {} bytes, the limit is {INLINE_LIMIT}; keep it elsewhere and say where",
                progress.len()
            )));
        }
        if !codec::is_null(&progress) {
            let (op, undo, attempt) = (&self.parts.op, self.parts.undo, self.parts.attempt);
            board.say(op, undo, attempt, progress, &beats.dropped);
        }
        Ok(())
    }

    /// How far an earlier attempt of this step said it was, in its last [`heartbeat`](Self::heartbeat)
    /// that was recorded; `None` if none said anything.
    ///
    /// # Errors
    ///
    /// If what it said is no `T`: an older build may have said it.
    pub fn progress<T: DeserializeOwned>(&self) -> Result<Option<T>, CodecError> {
        self.parts.progress.as_ref().map(codec::decode).transpose()
    }

    /// What was noted beside the run when it was started ([`memo`](crate::StartRun::memo)), by whoever
    /// started it or by a [layer around the start](crate::Client::layer): who asks, say. `None` if nothing
    /// was. It is that of the run for which the attempt is made, also on a worker of a queue and after a
    /// takeover, and goes on with [`continue_as_new`](crate::continue_as_new()), a fork and a retry. A child
    /// run has one of its own, which its call says.
    ///
    /// Costs nothing until it is asked; a call decodes it. A run in memory keeps its memo there, and a
    /// step that is sent to a queue takes it along in its order.
    ///
    /// ```
    /// use saga_runtime::prelude::*;
    ///
    /// #[activity]
    /// async fn ship(#[context] cx: &ActivityContext, parcel: u64) -> saga_runtime::Result<()> {
    ///     let by: Option<String> = cx.memo()?;
    ///     println!("parcel {parcel} is shipped for {}", by.as_deref().unwrap_or("nobody"));
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// If the memo is no `T`.
    pub fn memo<T: DeserializeOwned>(&self) -> Result<Option<T>, CodecError> {
        let Some(memo) = &self.parts.scope.memo else { return Ok(None) };
        let memo: Payload = decode(memo).map_err(|error| CodecError::new(format!("the memo: {error}")))?;
        codec::decode(&memo).map(Some)
    }

    /// The attempt's time begins now, with a sign of life: what waited before, in a layer further out, was
    /// no silence.
    pub(crate) fn begins(&self) {
        if let Some(beats) = self.parts.beats() {
            beats.last.fetch_max(self.parts.scope.board.now().as_micros(), Ordering::Relaxed);
        }
    }

    /// The attempt is dropped: what its thread says from now on is nothing.
    pub(crate) fn mute(&self) {
        if let Some(beats) = self.parts.beats() {
            beats.dropped.store(true, Ordering::Release);
        }
    }

    /// When the attempt that has begun last gave a sign of life; `None` if it is not asked for any.
    pub(crate) fn last_beat(&self) -> Option<Timestamp> {
        let beats = self.parts.beats()?;
        Some(Timestamp::from_micros(beats.last.load(Ordering::Relaxed)))
    }

    /// Waits until the attempt is to stop: its run is cancelled or terminated, its branch of a
    /// `select!` was let go, its time is over, or the worker shuts down.
    ///
    /// An attempt that has called this is told, and has the engine's
    /// [grace](crate::EngineBuilder::grace) to end by itself; then it is dropped. One that never calls
    /// this or [`is_cancelled`](Self::is_cancelled) is dropped at once, except at a shutdown, which
    /// lets it go on for the grace. Nothing of the run is undone before its attempts have stopped.
    ///
    /// What counts of what it then returns depends on why it was told:
    ///
    /// - The undo needs its output (`compensate = f(output)`): it is not dropped, since it must become
    ///   known what it did. An output, of a part of the work as well, is undone; after an error that
    ///   does not say that nothing happened it is attempted again, and that attempt is not told.
    /// - Its time is over: an output counts as if it had come in time, an error as the timeout.
    /// - The worker shuts down: an output counts. An error does not, and is no attempt: the next worker
    ///   makes it, and it is told how far this one was.
    /// - Else nobody waits for it, and nothing counts.
    ///
    /// An attempt within a transaction is never told: it is dropped and what it wrote is undone.
    ///
    /// ```
    /// # use saga_runtime::prelude::*;
    /// # async fn copy(row: u64) {}
    /// #[activity(timeout = "2h")]
    /// async fn copy_rows(#[context] cx: &ActivityContext, rows: u64) -> saga_runtime::Result<u64> {
    ///     let mut cancelled = std::pin::pin!(cx.cancelled());
    ///     for row in 0..rows {
    ///         tokio::select! {
    ///             () = copy(row) => {}
    ///             () = &mut cancelled => return Err(saga_runtime::Error::msg("stopped between two rows")),
    ///         }
    ///     }
    ///     Ok(rows)
    /// }
    /// ```
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + 'static {
        let lifeline = self.parts.lifeline.clone();
        if let Some(lifeline) = &lifeline {
            lifeline.heed();
        }
        async move {
            match lifeline {
                Some(lifeline) => lifeline.told().await,
                None => std::future::pending().await,
            }
        }
    }

    /// Whether the attempt is to stop: the same for code that does not await. It has to ask now and
    /// then; who asks once is taken for one that will ask again.
    ///
    /// A plain function runs on a thread, which cannot be dropped: it is told whether it asks or not,
    /// and has the engine's [grace](crate::EngineBuilder::grace) to return. After that the engine goes
    /// on without it, logs so, and ignores what it returns; the thread goes on. So one that does not ask
    /// may still be at work while a later attempt, or the undo, is made: give the idempotency key to
    /// whoever performs the effect.
    ///
    /// ```
    /// # use saga_runtime::prelude::*;
    /// # fn hash(block: u64) {}
    /// #[activity(timeout = "10m")]
    /// fn hash_blocks(#[context] cx: &ActivityContext, blocks: u64) -> saga_runtime::Result<u64> {
    ///     for block in 0..blocks {
    ///         if cx.is_cancelled() {
    ///             return Err(saga_runtime::Error::msg("stopped between two blocks"));
    ///         }
    ///         hash(block);
    ///     }
    ///     Ok(blocks)
    /// }
    /// ```
    pub fn is_cancelled(&self) -> bool {
        self.parts.lifeline.as_ref().is_some_and(|lifeline| {
            lifeline.heed();
            lifeline.is_told()
        })
    }

    /// Its code cannot be dropped: it is to be told, whether it asks or not.
    pub(crate) fn heed(&self) {
        if let Some(lifeline) = &self.parts.lifeline {
            lifeline.heed();
        }
    }

    /// Tells the attempt to stop. Whether its code has asked to be told.
    pub(crate) fn stop(&self) -> bool {
        self.parts.lifeline.as_ref().is_some_and(|lifeline| lifeline.tell())
    }

    /// What a [layer](crate::layer) gave this attempt: a token, a deadline, a connection.
    pub fn extension<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.extensions.as_ref()?.get(&TypeId::of::<T>()).and_then(|value| Arc::clone(value).downcast().ok())
    }

    pub(crate) fn insert_extension<T: Any + Send + Sync>(&mut self, value: T) {
        let extensions = Arc::make_mut(self.extensions.get_or_insert_default());
        extensions.insert(TypeId::of::<T>(), Arc::new(value));
    }

    /// The state of this type, as given to the engine.
    ///
    /// # Panics
    ///
    /// If the engine has none, which its start would have refused.
    #[doc(hidden)]
    pub fn state<T: Send + Sync + 'static>(&self) -> Arc<T> {
        let found = self
            .parts
            .scope
            .common
            .states
            .get(TypeId::of::<T>())
            .and_then(|state: Arc<dyn Any + Send + Sync>| state.downcast().ok());
        match found {
            Some(state) => state,
            None => panic!(
                "activity `{}` needs state of type `{}`: give it to the engine with `.state(…)`",
                self.parts.activity,
                type_name::<T>()
            ),
        }
    }
}

impl fmt::Debug for ActivityContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActivityContext")
            .field("activity", &self.parts.activity)
            .field("run", self.run_id())
            .field("op", self.parts.step().1)
            .field("attempt", &self.parts.attempt)
            .finish_non_exhaustive()
    }
}
