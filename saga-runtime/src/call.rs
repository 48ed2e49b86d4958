//! Calls: what calling an activity or a workflow returns. Typed, lazy, and no futures.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use saga_store::Timestamp;
use saga_store::wire::{INLINE_LIMIT, ParentEnd, Payload, StartTerms};
use serde::Serialize;

use crate::activity::{Activity, Overrides, RetryPolicy, UndoCall, Undoes};
use crate::codec::{self, CodecError, Encoder};
use crate::session::{Place, Session};
use crate::workflow::{Workflow, WorkflowDefinition};

/// A call of an activity: its input, and what this call sets. Nothing runs until a workflow
/// awaits it. Awaiting gives `Result<A::Output, ActivityError<A::Error>>`.
#[must_use = "a call does nothing until a workflow awaits it: add `.await`"]
#[derive(Debug, Clone)]
pub struct ActivityCall<A: Activity> {
    pub(crate) input: A,
    pub(crate) overrides: Overrides,
    pub(crate) undo: Option<Box<UndoCall>>,
    pub(crate) queue: Option<String>,
    pub(crate) session: Option<Box<Result<Place, String>>>,
    pub(crate) key: Option<String>,
    pub(crate) priority: Option<i16>,
}

impl<A: Activity> ActivityCall<A> {
    /// A call with this input. What the function that `#[activity]` makes does.
    #[doc(hidden)]
    pub fn new(input: A) -> Self {
        Self {
            input,
            overrides: Overrides::default(),
            undo: None,
            queue: None,
            session: None,
            key: None,
            priority: None,
        }
    }

    /// The input.
    pub fn input(&self) -> &A {
        &self.input
    }

    /// How long one attempt may take, in place of the attribute's `timeout`.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.overrides.timeout = Some(timeout);
        self
    }

    /// How long all attempts together may take, waits included, from the moment that the step is
    /// scheduled. The moment is recorded: a crash does not extend it.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.overrides.deadline = Some(deadline);
        self
    }

    /// When a failed attempt is repeated, in place of the attribute's `retry(…)`.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.overrides.retry = Some(policy);
        self
    }

    /// Runs it on any worker that serves this queue (see [`EngineBuilder::queues`]), in place of the
    /// attribute's `queue`. The name has 1 to 100 bytes, without `/` and control characters.
    ///
    /// Costs a run more: its start, a record for its end, and a message each way. Its undo runs
    /// where the workflow runs. While no worker serves the queue the step waits, a `deadline`
    /// apart; the undo of a step that was sent waits as well, until a worker says what became of
    /// it.
    ///
    /// [`EngineBuilder::queues`]: crate::EngineBuilder::queues
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.queue = Some(queue.into());
        self
    }

    /// Runs it on the worker that has this [session](crate::session()), and on no other. The queue is
    /// the session's: one of another name, of the attribute or of [`queue`](Self::queue), is an error
    /// of the step. An activity without a queue can be called so as well, if the session's workers have
    /// its code and its state.
    ///
    /// Costs what a step on a queue costs, and a record of the session and a message more. If the worker
    /// goes, or the session is over, the step fails with
    /// [`ActivityError::SessionLost`](crate::ActivityError::SessionLost).
    pub fn session(mut self, session: &Session) -> Self {
        self.session = Some(Box::new(session.place()));
        self
    }

    /// Of the steps that wait on their queues a worker takes those with a higher priority first, in
    /// place of the attribute's `priority`; 0 if nothing is said. It changes nothing about a step that a worker has taken already. It is recorded
    /// with the schedule and costs nothing. Without a [`queue`](Self::queue) nothing waits to be taken,
    /// so that a priority is an error of the step then.
    ///
    /// ```
    /// # use saga_runtime::prelude::*;
    /// #[activity(queue = "gpu")]
    /// async fn render(scene: String) -> saga_runtime::Result<String> {
    ///     Ok(format!("{scene}.png"))
    /// }
    ///
    /// #[workflow]
    /// async fn preview(scene: String) -> saga_runtime::Result<String> {
    ///     Ok(render(scene).priority(10).await?)
    /// }
    /// ```
    pub fn priority(mut self, priority: i16) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Sets the step's idempotency key, which its attempts give to whoever performs the effect
    /// ([`ActivityContext::idempotency_key`](crate::ActivityContext::idempotency_key)). Without it the
    /// key follows from the execution and the place in the code, so that each run, and each execution
    /// of it, has effects of its own. A key of one's own can be equal for all of them: an order is then
    /// charged once, however often its run is started anew. 1 to 200 bytes without control characters.
    ///
    /// It is recorded with the schedule and costs nothing else. The undo of the step keeps a key by
    /// its place, and one that a call of an undo sets is not used.
    ///
    /// ```
    /// # use saga_runtime::prelude::*;
    /// # #[activity]
    /// # async fn charge(cents: u64) -> saga_runtime::Result<()> { let _ = cents; Ok(()) }
    /// #[workflow]
    /// async fn pay(order: String, cents: u64) -> saga_runtime::Result<()> {
    ///     charge(cents).key(format!("{order}/charge")).await?;
    ///     Ok(())
    /// }
    /// ```
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Leaves this step out when the run is undone.
    pub fn no_compensation(mut self) -> Self {
        self.overrides.no_compensation = true;
        self.undo = None;
        self
    }

    /// Undoes this step by that call, in place of the attribute's `compensate` or where it has none.
    /// The undo is known before the first attempt: it also runs if nobody knows whether the step
    /// happened. It is recorded with the schedule, with its input, and costs no record of its own. An
    /// activity that has an undo itself, or is `later`, is refused by the compiler.
    ///
    /// ```
    /// # use saga_runtime::prelude::*;
    /// # #[activity]
    /// # async fn ship(order: u32) -> saga_runtime::Result<()> { let _ = order; Ok(()) }
    /// # #[activity]
    /// # async fn call_back(order: u32, carrier: String) -> saga_runtime::Result<()> { let _ = (order, carrier); Ok(()) }
    /// #[workflow]
    /// async fn send(order: u32, carrier: String) -> saga_runtime::Result<()> {
    ///     ship(order).compensate_with(call_back(order, carrier)).await?;
    ///     Ok(())
    /// }
    /// ```
    pub fn compensate_with<U: Undoes>(mut self, undo: ActivityCall<U>) -> Self {
        self.overrides.no_compensation = false;
        self.undo = Some(Box::new(UndoCall::new(undo)));
        self
    }
}

/// A call of a workflow: its input, and what this call sets. Give it to a client to start a run,
/// or await it in a workflow, where it is a child run: awaiting gives
/// `Result<W::Output, ChildError<W::Error>>`, and [`spawn`](crate::spawn) starts it to be awaited
/// later.
///
/// A parent that fails or is cancelled cancels its children, and is final only after they have
/// been undone; so does a dropped branch of `select!` or `try_join!`. A child that has completed
/// is undone by what `#[workflow(compensate = …)]` of its own says.
#[must_use = "a call does nothing until it is given to `client.start(…)`, or awaited in a workflow"]
#[derive(Debug, Clone)]
pub struct WorkflowCall<W: Workflow> {
    pub(crate) input: W,
    pub(crate) options: CallOptions,
}

/// What a call of a workflow sets.
#[derive(Debug, Clone, Default)]
pub(crate) struct CallOptions {
    pub(crate) id: Option<String>,
    pub(crate) lane: Option<String>,
    pub(crate) priority: Option<i16>,
    pub(crate) on_parent_end: Option<ParentEnd>,
    pub(crate) no_compensation: bool,
    pub(crate) begin: Begin,
    pub(crate) deadline: Option<Duration>,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) memo: Option<Result<Payload, CodecError>>,
}

/// When a run begins.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Begin {
    #[default]
    Now,
    After(Duration),
    At(Timestamp),
}

impl CallOptions {
    /// When the run begins, if not at once.
    pub(crate) fn begins_at(&self, now: Timestamp) -> Option<Timestamp> {
        match self.begin {
            Begin::Now => None,
            Begin::After(delay) => Some(now.after(delay)),
            Begin::At(moment) => Some(moment),
        }
    }

    /// When it is cancelled if it has not ended.
    pub(crate) fn ends_by(&self, now: Timestamp) -> Option<Timestamp> {
        let begin = self.begins_at(now).unwrap_or(now).max(now);
        self.deadline.map(|deadline| begin.after(deadline))
    }

    /// What is noted beside the run.
    pub(crate) fn memo(&self) -> Result<Option<Payload>, CodecError> {
        let memo = self.memo.clone().transpose()?;
        match memo.as_ref().map(Payload::len) {
            Some(len) if len > INLINE_LIMIT as u64 => {
                Err(CodecError::new(format!("the memo has {len} bytes, the limit is {INLINE_LIMIT}")))
            }
            _ => Ok(memo),
        }
    }

    /// What a workflow's record says of a run that it starts; nothing if the call says nothing.
    pub(crate) fn terms(
        &self,
        definition: &WorkflowDefinition,
        now: Timestamp,
    ) -> Result<Option<StartTerms>, CodecError> {
        let terms = StartTerms {
            begin: self.begins_at(now).map(Timestamp::as_micros),
            deadline: self.ends_by(now).map(Timestamp::as_micros),
            undo_continues: definition.undo_continues.then_some(true),
            attributes: (!self.attributes.is_empty()).then(|| self.attributes.clone()),
            memo: self.memo()?,
            session: None,
        };
        Ok((terms != StartTerms::default()).then_some(terms))
    }
}

impl<W: Workflow> WorkflowCall<W> {
    /// A call with this input. What the function that `#[workflow]` makes does.
    #[doc(hidden)]
    pub fn new(input: W) -> Self {
        Self { input, options: CallOptions::default() }
    }

    /// The input.
    pub fn input(&self) -> &W {
        &self.input
    }

    /// Names the run: 1 to 512 bytes without control characters. Without it a child is named after
    /// its parent's execution and its place in the code. If a run of that id exists, a child is
    /// not started: awaiting it gives [`ChildError::NotStarted`](crate::ChildError::NotStarted).
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.options.id = Some(id.into());
        self
    }

    /// The lane (a tenant, say) by which workers share out their slots.
    pub fn lane(mut self, lane: impl Into<String>) -> Self {
        self.options.lane = Some(lane.into());
        self
    }

    /// Higher goes first within a lane.
    pub fn priority(mut self, priority: i16) -> Self {
        self.options.priority = Some(priority);
        self
    }

    /// Begins the run that much later; it is there at once, and can be cancelled. The moment is
    /// recorded with the call.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.options.begin = Begin::After(delay);
        self
    }

    /// Begins the run at this moment of the store's clock; at once if it has passed.
    pub fn at(mut self, moment: impl Into<Timestamp>) -> Self {
        self.options.begin = Begin::At(moment.into());
        self
    }

    /// Cancels the run, and so undoes it, if it has not ended so long after it may begin. The moment
    /// is recorded with the call: a crash does not extend it.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.options.deadline = Some(deadline);
        self
    }

    /// Adds a search attribute, by which runs can be listed.
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.attributes.push((name.into(), value.into()));
        self
    }

    /// Notes something beside the run, which lists and `show` give back and nobody searches.
    /// Recorded as JSON; 64 KiB at most, since lists read it.
    pub fn memo<T: Serialize + ?Sized>(mut self, memo: &T) -> Self {
        self.options.memo = Some(Encoder::default().encode(memo));
        self
    }

    /// What becomes of the child when its parent ends, however it does, or lets go the branch that
    /// started it. Without it the child is cancelled, unless the parent has dropped its handle:
    /// then it goes on. Not for a run that a client starts.
    pub fn on_parent_end(mut self, end: ParentEnd) -> Self {
        self.options.on_parent_end = Some(end);
        self
    }

    /// Leaves the child's declared undo out once it has completed. Not for a run that a client
    /// starts.
    pub fn no_compensation(mut self) -> Self {
        self.options.no_compensation = true;
        self
    }
}

impl UndoCall {
    /// The undo that this call is: what `compensate = …` evaluates to.
    #[doc(hidden)]
    pub fn new<A: Activity>(call: ActivityCall<A>) -> Self {
        Self { definition: A::definition(), input: codec::encode_here(&call.input), overrides: call.overrides }
    }
}

/// A call in ordinary code. A type of its own: of a bound on the call itself the compiler would only
/// say that the call is not a future.
#[doc(hidden)]
pub struct Awaited<C>(C);

/// Never implemented: it makes the compiler say where a call can be awaited.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a call of an activity or a workflow can be awaited in a workflow only",
    label = "not in a workflow",
    note = "await it in a function annotated with `#[workflow]` or `#[durable]`; outside, start a workflow with `client.start(…)`, or run the plain function with `::plain(…)`"
)]
pub trait InAWorkflow {}

impl<A: Activity> Future for ActivityCall<A>
where
    Awaited<A>: InAWorkflow,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

impl<W: Workflow> Future for WorkflowCall<W>
where
    Awaited<W>: InAWorkflow,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}
