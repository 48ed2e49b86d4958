//! What a record can say.
//!
//! An entry either tells what arrived (a step ended, a timer fired, a message came) or what the
//! workflow decided because of it (a step is scheduled, a timer set, the run concluded). Within
//! a record each arrival is followed by its decisions. New kinds get new numbers at the end.

use minicbor::{Decode, Encode};

use super::chain::Continued;
use super::child::{ChildEnded, ChildScheduled, Parent};
use super::conclusion::Conclusion;
use super::errand::{Errand, InSession, Relayed};
use super::failure::Failure;
use super::note::{CancelRequest, EventMessage, EventSent};
use super::op::OpId;
use super::payload::Payload;
use super::progress::Progressed;

/// One thing that a record says.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
#[non_exhaustive]
pub enum Entry {
    // Arrivals.
    /// The run exists. The first entry of record 0, and nowhere else.
    #[n(0)]
    Started(#[n(0)] Box<RunStarted>),
    /// A worker took the run from one that had not released it: the fence.
    #[n(1)]
    Claimed(#[n(0)] Claimed),
    /// A step returned its output.
    #[n(2)]
    StepEnded(#[n(0)] StepEnded),
    /// A step failed for good.
    #[n(3)]
    StepFailed(#[n(0)] StepFailed),
    /// An attempt of a step or of an undo failed and will be repeated.
    #[n(4)]
    Attempted(#[n(0)] Attempted),
    /// A timer was due.
    #[n(5)]
    TimerFired(#[n(0)] OpId),
    /// Somebody asked for a cancel.
    #[n(6)]
    CancelRequested(#[n(0)] CancelRequest),
    /// An event came.
    #[n(7)]
    EventReceived(#[n(0)] EventMessage),
    /// An undo step has succeeded.
    #[n(8)]
    UndoEnded(#[n(0)] OpId, #[n(1)] u32),
    /// An undo step failed for good.
    #[n(9)]
    UndoFailed(#[n(0)] StepFailed),
    /// An operator stopped the run until it is resumed: what comes meanwhile is recorded, and
    /// the workflow is not told of it.
    #[n(15)]
    Suspended(#[n(0)] CancelRequest),
    /// An operator let it go on.
    #[n(16)]
    Resumed(#[n(0)] CancelRequest),
    /// An operator repaired it.
    #[n(17)]
    Repaired(#[n(0)] Repair),
    /// An event came that no type of its name can read; the workflow is not told of it.
    #[n(18)]
    EventRefused(#[n(0)] EventMessage, #[n(1)] String),
    /// The moment of a delayed start has come.
    #[n(19)]
    Begun,
    /// A child run has ended, or could not be started.
    #[n(10)]
    ChildEnded(#[n(0)] Box<ChildEnded>),
    /// The copied part of the journal is over: what was under way elsewhere has been begun anew.
    #[n(75)]
    BegunAnew,
    /// An attempt that has not ended says how far it is.
    #[n(80)]
    Progressed(#[n(0)] Progressed),
    /// An attempt, of this number, has ended, and leaves it to whoever has the step's token to say what
    /// became of the step.
    #[n(81)]
    Deferred(#[n(0)] OpId, #[n(1)] u32),
    /// A session has sent something on for the run that began it.
    #[n(82)]
    Relayed(#[n(0)] Relayed),

    // Decisions.
    /// The workflow awaits an activity.
    #[n(32)]
    StepScheduled(#[n(0)] StepScheduled),
    /// The workflow awaits a moment.
    #[n(33)]
    TimerSet(#[n(0)] TimerSet),
    /// The workflow awaits an event of this name.
    #[n(34)]
    EventAwaited(#[n(0)] OpId, #[n(1)] String),
    /// The workflow let a branch go: what it did is undone.
    #[n(35)]
    Dropped(#[n(0)] OpId),
    /// A value that is not the same twice was recorded.
    #[n(36)]
    Value(#[n(0)] OpValue),
    /// The run failed or is cancelled; undoing begins.
    #[n(37)]
    UndoBegan(#[n(0)] UndoCause),
    /// The run has ended.
    #[n(38)]
    Concluded(#[n(0)] Conclusion),
    /// The workflow added an undo by hand.
    #[n(39)]
    UndoAdded(#[n(0)] OpId, #[n(1)] Box<UndoStep>),
    /// The point of no return: of the step at this place, once it has succeeded; without a step
    /// there, at once.
    #[n(46)]
    Pivot(#[n(0)] OpId),
    /// The workflow takes the new path of the patch of this name.
    #[n(47)]
    Patched(#[n(0)] String),
    /// The workflow starts a child run.
    #[n(40)]
    ChildScheduled(#[n(0)] Box<ChildScheduled>),
    /// The workflow asks a child to stop.
    #[n(41)]
    ChildCancelled(#[n(0)] OpId),
    /// The workflow lets a child go on by itself.
    #[n(42)]
    ChildDetached(#[n(0)] OpId),
    /// The workflow sends an event to another run.
    #[n(70)]
    EventSent(#[n(0)] EventSent),
    /// The workflow is over, and its run goes on with a fresh journal.
    #[n(71)]
    Continued(#[n(0)] Box<Continued>),
}

impl Entry {
    /// Visits each payload of the entry.
    pub fn for_each_payload(&mut self, mut visit: impl FnMut(&mut Payload)) {
        match self {
            Self::Started(started) => visit(&mut started.input),
            Self::StepEnded(ended) => {
                visit(&mut ended.output);
                if let Some(undo) = &mut ended.undo {
                    visit(&mut undo.input);
                }
            }
            Self::StepFailed(failed) | Self::UndoFailed(failed) => failed.failure.error.iter_mut().for_each(visit),
            Self::Attempted(attempted) => attempted.failure.error.iter_mut().for_each(visit),
            Self::Progressed(progressed) => visit(&mut progressed.progress),
            Self::EventReceived(event) | Self::EventRefused(event, _) => visit(&mut event.value),
            Self::EventSent(sent) => visit(&mut sent.event.value),
            Self::Continued(continued) => continued.for_each_payload(&mut visit),
            Self::Repaired(Repair::SetResult(_, result)) => visit(result),
            Self::StepScheduled(scheduled) => {
                visit(&mut scheduled.input);
                if let UndoPlan::Known(undo) = &mut scheduled.undo {
                    visit(&mut undo.input);
                }
            }
            Self::Value(value) => visit(&mut value.value),
            Self::UndoAdded(_, undo) => visit(&mut undo.input),
            Self::UndoBegan(UndoCause::Failed { error, .. }) => visit(error),
            Self::Concluded(conclusion) => conclusion.for_each_payload(visit),
            Self::ChildEnded(ended) => {
                ended.end.for_each_payload(&mut visit);
                ended.undo.iter_mut().for_each(|undo| visit(&mut undo.input));
            }
            Self::ChildScheduled(scheduled) => {
                visit(&mut scheduled.input);
                if let UndoPlan::Known(undo) = &mut scheduled.undo {
                    visit(&mut undo.input);
                }
                scheduled.terms.iter_mut().for_each(|terms| terms.memo.iter_mut().for_each(&mut visit));
            }
            Self::Claimed(_)
            | Self::TimerFired(_)
            | Self::Deferred(..)
            | Self::Relayed(_)
            | Self::CancelRequested(_)
            | Self::Suspended(_)
            | Self::Resumed(_)
            | Self::Repaired(_)
            | Self::Begun
            | Self::BegunAnew
            | Self::Patched(_)
            | Self::UndoEnded(..)
            | Self::TimerSet(_)
            | Self::EventAwaited(..)
            | Self::Dropped(_)
            | Self::ChildCancelled(_)
            | Self::ChildDetached(_)
            | Self::Pivot(_)
            | Self::UndoBegan(UndoCause::Cancelled(_)) => {}
        }
    }
}

/// The start of a run.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct RunStarted {
    /// The workflow's durable name.
    #[n(0)]
    pub workflow: String,
    /// Its version.
    #[n(1)]
    pub version: u32,
    /// The run's name.
    #[n(2)]
    pub id: String,
    /// The input, one object keyed by parameter name.
    #[n(3)]
    pub input: Payload,
    /// What the run's random values derive from.
    #[n(4)]
    pub seed: u64,
    /// What else its start said.
    #[n(9)]
    pub terms: Option<RunTerms>,
    /// Whose child it is.
    #[n(5)]
    pub parent: Option<Parent>,
}

/// What the start of a run can say beyond its input.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct RunTerms {
    /// When it is cancelled if it has not ended: microseconds since 1970.
    #[n(0)]
    pub deadline: Option<i64>,
    /// How many records after the first were copied from another execution. A journal that has
    /// fewer is not complete yet, and nobody drives its run.
    #[n(1)]
    pub copied: Option<u64>,
    /// Whether undoing goes on after an undo step that failed for good.
    #[n(2)]
    pub undo_continues: Option<bool>,
    /// When it begins, if later than it was started: microseconds since 1970.
    #[n(3)]
    pub begin: Option<i64>,
    /// Whether it is another execution of a run that has been, made from a part of its journal.
    #[n(4)]
    pub forked: Option<bool>,
    /// The session that it is part of.
    #[n(5)]
    pub session: Option<InSession>,
}

/// What an operator did about a run that could not go on by itself.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
#[non_exhaustive]
pub enum Repair {
    /// It goes on where it stood.
    #[n(0)]
    Resume,
    /// The same, and undo steps that failed for good are attempted anew.
    #[n(1)]
    Retry,
    /// The same, and this step is taken as undone.
    #[n(2)]
    Skip(#[n(0)] OpId),
    /// The same, and this step is taken to have returned this.
    #[n(3)]
    SetResult(#[n(0)] OpId, #[n(1)] Payload),
}

/// A takeover, or what a worker says about a run that it has, outside of the run's own story.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Claimed {
    /// The new owner, as text.
    #[n(0)]
    pub by: String,
    /// How a run is treated whose workers have died again and again.
    #[n(1)]
    pub care: Option<Care>,
    /// The build that cannot drive the run, and leaves it to others.
    #[n(2)]
    pub not_build: Option<String>,
    /// True if nobody has lost the run: its owner says that it has it, before it goes on.
    #[n(3)]
    pub noted: Option<bool>,
}

impl Claimed {
    /// A takeover by this worker, and nothing else to say.
    pub fn by(worker: impl Into<String>) -> Self {
        Self { by: worker.into(), care: None, not_build: None, noted: None }
    }

    /// A note that this worker has the run, which it took from nobody.
    pub fn noted(owner: impl Into<String>) -> Self {
        Self { noted: Some(true), ..Self::by(owner) }
    }
}

/// How a run is treated whose workers have died again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Care {
    /// It is suspected, and no other suspected run is driven with it. If this is the last that is
    /// heard of it, it died so.
    #[n(0)]
    Alone,
    /// Its worker lived, though the run has not gone on yet.
    #[n(1)]
    Survived,
}

/// A step's success.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct StepEnded {
    /// The step.
    #[n(0)]
    pub op: OpId,
    /// The attempt that succeeded, from 1.
    #[n(1)]
    pub attempt: u32,
    /// What it returned.
    #[n(2)]
    pub output: Payload,
    /// Its undo, where the plan was [`UndoPlan::FromOutput`].
    #[n(3)]
    pub undo: Option<Box<UndoStep>>,
}

/// A step's failure, or an undo's.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct StepFailed {
    /// The step.
    #[n(0)]
    pub op: OpId,
    /// The last attempt, from 1; 0 if none was made.
    #[n(1)]
    pub attempt: u32,
    /// Why.
    #[n(2)]
    pub failure: Failure,
    /// Whether some attempt may have had an effect.
    #[n(3)]
    pub unknown: bool,
}

/// An attempt that failed and will be repeated.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Attempted {
    /// The step.
    #[n(0)]
    pub op: OpId,
    /// The attempt, from 1.
    #[n(1)]
    pub attempt: u32,
    /// Why it failed.
    #[n(2)]
    pub failure: Failure,
    /// Whether this or an earlier attempt may have had an effect.
    #[n(3)]
    pub unknown: bool,
    /// When the next one is due: microseconds since 1970.
    #[n(4)]
    pub retry_at: i64,
    /// Whether it was an attempt of the step's undo.
    #[n(5)]
    pub undo: bool,
}

/// A scheduled step.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct StepScheduled {
    /// Its place in the code.
    #[n(0)]
    pub op: OpId,
    /// The activity's durable name.
    #[n(1)]
    pub activity: String,
    /// The input, one object keyed by parameter name.
    #[n(2)]
    pub input: Payload,
    /// How to undo it.
    #[n(3)]
    pub undo: UndoPlan,
    /// When all its attempts together end: microseconds since 1970.
    #[n(4)]
    pub deadline: Option<i64>,
    /// The run that makes its attempts, where that is not this one.
    #[n(5)]
    pub errand: Option<Box<Errand>>,
    /// What the call said of the attempts, in place of what the activity's attribute says.
    #[n(8)]
    pub at_call: Option<Box<AtCall>>,
}

/// What a call says of a step's attempts.
#[derive(Debug, Clone, Default, PartialEq, Encode, Decode)]
pub struct AtCall {
    /// How long one may take: microseconds.
    #[n(0)]
    pub timeout: Option<u64>,
    /// The policy.
    #[n(1)]
    pub retry: Option<Retry>,
    /// Their idempotency key.
    #[n(2)]
    pub key: Option<String>,
}

/// How a step will be undone.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum UndoPlan {
    /// There is nothing to undo.
    #[n(0)]
    Nothing,
    /// By this, known before the first attempt.
    #[n(1)]
    Known(#[n(0)] Box<UndoStep>),
    /// By what [`StepEnded::undo`] will say.
    #[n(2)]
    FromOutput,
}

/// An undo, as data: it does not depend on code that may have changed.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct UndoStep {
    /// The activity's durable name.
    #[n(0)]
    pub activity: String,
    /// Its input.
    #[n(1)]
    pub input: Payload,
    /// The policy of its attempts.
    #[n(2)]
    pub retry: Retry,
    /// How long an attempt may take: microseconds.
    #[n(3)]
    pub timeout: u64,
}

/// A retry policy as data.
#[derive(Debug, Clone, Copy, PartialEq, Encode, Decode)]
pub struct Retry {
    /// The most attempts, the first one included; `None` is for ever.
    #[n(0)]
    pub max_attempts: Option<u32>,
    /// The delay after the first attempt: microseconds.
    #[n(1)]
    pub initial: u64,
    /// The longest delay: microseconds.
    #[n(2)]
    pub max: u64,
    /// Each delay is the one before times this.
    #[n(3)]
    pub multiplier: f64,
    /// Each delay is varied by up to this share of it, either way.
    #[n(4)]
    pub jitter: f64,
}

/// A timer.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct TimerSet {
    /// Its place in the code.
    #[n(0)]
    pub op: OpId,
    /// When it is due: microseconds since 1970.
    #[n(1)]
    pub due: i64,
}

/// A recorded value.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct OpValue {
    /// Its place in the code.
    #[n(0)]
    pub op: OpId,
    /// The value.
    #[n(1)]
    pub value: Payload,
}

/// Why a run is undone.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum UndoCause {
    /// The workflow returned an error.
    #[n(0)]
    Failed {
        /// The error.
        #[n(0)]
        error: Payload,
        /// In words.
        #[n(1)]
        message: String,
    },
    /// It was cancelled.
    #[n(1)]
    Cancelled(#[n(0)] CancelRequest),
}
