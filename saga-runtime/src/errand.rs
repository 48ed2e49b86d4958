//! Errands: runs that make the attempts of one step for another run, on a worker of a queue.
//!
//! An errand is a child run of a workflow that is built in. Its workflow's name says the queue and
//! the activity, so that claims, leases and takeovers are those of all runs, and a worker takes
//! what it serves and no more.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as PollContext, Poll};

use saga_store::wire::{
    Encoding, Entry, Failure, FailureKind, OpId, Payload, PayloadData, Retry, StepFailed, StepScheduled, UndoPlan,
};
use saga_store::{ExecutionId, RunId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::activity::OnBehalf;
use crate::codec::CodecError;
use crate::context::{self, Arrival, Decision};
use crate::hex;
use crate::workflow::{BodyEnd, BodyFuture, WorkflowDefinition, built_in};

/// What the names of errands' workflows begin with.
const PREFIX: &str = "@activity/";

/// Their version.
pub(crate) const VERSION: u32 = 1;

/// The longest name of a queue.
const QUEUE_LIMIT: usize = 100;

/// The workflow of all errands.
pub(crate) static DEFINITION: WorkflowDefinition = built_in!("@activity", VERSION);

/// The durable name of the workflow that runs this activity for this queue.
pub(crate) fn workflow(queue: &str, activity: &str) -> String {
    format!("{PREFIX}{queue}/{activity}")
}

/// Whether a workflow of this name is an errand.
pub(crate) fn is_errand(workflow: &str) -> bool {
    workflow.starts_with(PREFIX)
}

/// The queue of an errand, by its workflow's name.
pub(crate) fn queue_of(workflow: &str) -> Option<&str> {
    workflow.strip_prefix(PREFIX)?.split_once('/').map(|(queue, _)| queue)
}

/// Says what is wrong with the name of a queue.
pub(crate) fn check_queue(queue: &str) -> Result<(), String> {
    if queue.is_empty() || queue.len() > QUEUE_LIMIT || queue.contains('/') || queue.contains(char::is_control) {
        return Err(format!(
            "{queue:?} names no queue: a name has 1 to {QUEUE_LIMIT} bytes, without `/` and control characters"
        ));
    }
    Ok(())
}

/// What an errand is told: its input.
#[derive(Debug, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, not a state")]
pub(crate) struct Order {
    pub(crate) activity: String,
    /// None if it is no JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    input: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    packed: Option<Packed>,
    /// The run for which it goes.
    run: String,
    execution: String,
    op: Vec<u32>,
    max_attempts: Option<u32>,
    initial: u64,
    max: u64,
    multiplier: f64,
    jitter: f64,
    pub(crate) timeout: u64,
    pub(crate) default_timeout: bool,
    /// The idempotency key that the call has set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// Nobody waits for it any more, but what it may have done must become known: a cancel does not
    /// end it before that.
    pub(crate) settle: bool,
    /// It is known to have been attempted before.
    pub(crate) unknown: bool,
    /// It is a point of no return.
    pub(crate) pivot: bool,
}

/// How the attempts are to be made.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, not a state")]
pub(crate) struct Terms {
    pub(crate) retry: Retry,
    pub(crate) timeout: u64,
    pub(crate) default_timeout: bool,
    pub(crate) key: Option<String>,
    pub(crate) settle: bool,
    pub(crate) unknown: bool,
    pub(crate) pivot: bool,
}

impl Order {
    /// The input of an errand.
    pub(crate) fn encode(on: &OnBehalf, activity: &str, input: &Payload, terms: Terms) -> Result<Payload, CodecError> {
        let order = Self {
            activity: activity.to_owned(),
            input: raw(input)?,
            packed: Packed::of(input)?,
            run: on.run.as_str().to_owned(),
            execution: on.execution.to_string(),
            op: on.op.path().to_vec(),
            max_attempts: terms.retry.max_attempts,
            initial: terms.retry.initial,
            max: terms.retry.max,
            multiplier: terms.retry.multiplier,
            jitter: terms.retry.jitter,
            timeout: terms.timeout,
            default_timeout: terms.default_timeout,
            key: terms.key,
            settle: terms.settle,
            unknown: terms.unknown,
            pivot: terms.pivot,
        };
        to_payload(&order)
    }

    /// Reads the input of an errand.
    pub(crate) fn decode(input: &Payload) -> Result<Self, CodecError> {
        crate::codec::decode(input)
    }

    /// The activity's input.
    fn input(&mut self) -> Result<Payload, CodecError> {
        value(self.input.take(), self.packed.take())?.ok_or_else(|| CodecError::new("the order has no input"))
    }

    pub(crate) fn retry(&self) -> Retry {
        let Self { max_attempts, initial, max, multiplier, jitter, .. } = *self;
        Retry { max_attempts, initial, max, multiplier, jitter }
    }

    /// The step for which it goes.
    pub(crate) fn on_behalf(&self) -> Result<OnBehalf, CodecError> {
        let bad = |what: &str| CodecError::new(format!("the order names no {what}"));
        Ok(OnBehalf {
            run: RunId::new(&self.run).map_err(|error| bad(&error.to_string()))?,
            execution: self.execution.parse().map(ExecutionId::from_uuid).map_err(|_| bad("execution"))?,
            op: OpId::from(self.op.as_slice()),
        })
    }
}

/// What became of a step that failed on a worker of a queue: an errand's error.
#[derive(Debug, Serialize, Deserialize)]
struct Report {
    attempt: u32,
    unknown: bool,
    kind: u8,
    message: String,
    error: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    packed: Option<Packed>,
}

/// The error of an errand whose step failed.
pub(crate) fn report(failed: StepFailed) -> Result<Payload, CodecError> {
    let StepFailed { attempt, unknown, failure, .. } = failed;
    let error = failure.error.as_ref().map(raw).transpose()?.flatten();
    let packed = failure.error.as_ref().map(Packed::of).transpose()?.flatten();
    to_payload(&Report { attempt, unknown, kind: number(failure.kind), message: failure.message, error, packed })
}

/// The error of an errand whose session is lost.
pub(crate) fn lost(op: OpId, attempt: u32, unknown: bool, message: String) -> Result<Payload, CodecError> {
    let failure = Failure { kind: FailureKind::SessionLost, message, error: None };
    report(StepFailed { op, attempt, failure, unknown })
}

/// Reads the error of an errand, as the failure of this step.
pub(crate) fn read_report(op: &OpId, error: &Payload) -> Result<StepFailed, CodecError> {
    let Report { attempt, unknown, kind, message, error, packed } = crate::codec::decode(error)?;
    let kind = KINDS
        .get(usize::from(kind))
        .copied()
        .ok_or_else(|| CodecError::new(format!("this build does not know a failure of sort {kind}: {message}")))?;
    let error = value(error, packed)?;
    Ok(StepFailed { op: op.clone(), attempt, failure: Failure { kind, message, error }, unknown })
}

/// By their numbers, which are never reused.
const KINDS: [FailureKind; 10] = [
    FailureKind::Returned,
    FailureKind::TimedOut,
    FailureKind::Panicked,
    FailureKind::CircuitOpen,
    FailureKind::Payload,
    FailureKind::DeadlinePassed,
    FailureKind::Unregistered,
    FailureKind::Layer,
    FailureKind::Interrupted,
    FailureKind::SessionLost,
];

fn number(kind: FailureKind) -> u8 {
    let at = KINDS.iter().position(|known| *known == kind);
    at.and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX)
}

/// A payload that is no JSON, within what is. Older builds do not know the field, and miss the other
/// one.
#[derive(Debug, Serialize, Deserialize)]
struct Packed {
    encoding: u8,
    /// In hexadecimal.
    bytes: String,
}

impl Packed {
    fn of(payload: &Payload) -> Result<Option<Self>, CodecError> {
        if payload.encoding == Encoding::JSON {
            return Ok(None);
        }
        Ok(Some(Self { encoding: payload.encoding.0, bytes: hex::to_text(here(payload)?) }))
    }
}

/// A payload that is JSON, as it is.
fn raw(payload: &Payload) -> Result<Option<Box<RawValue>>, CodecError> {
    if payload.encoding != Encoding::JSON {
        return Ok(None);
    }
    let raw = serde_json::from_slice(here(payload)?);
    raw.map(Some).map_err(|error| CodecError::new(format!("a payload is no JSON: {error}")))
}

/// The payload that was kept in one of the two forms, if it was.
fn value(raw: Option<Box<RawValue>>, packed: Option<Packed>) -> Result<Option<Payload>, CodecError> {
    let Some(Packed { encoding, bytes }) = packed else {
        return Ok(raw.map(|raw| Payload::json(String::from(Box::<str>::from(raw)))));
    };
    let bytes = hex::from_text(&bytes).ok_or_else(|| CodecError::new("a packed payload is not hexadecimal"))?;
    Ok(Some(Payload { encoding: Encoding(encoding), data: PayloadData::Inline(bytes.into()) }))
}

fn here(payload: &Payload) -> Result<&[u8], CodecError> {
    payload.inline().map(|bytes| &**bytes).ok_or_else(|| CodecError::new("the payload was not fetched"))
}

/// Without the limit of payloads, which what is within has kept.
fn to_payload<T: Serialize>(value: &T) -> Result<Payload, CodecError> {
    serde_json::to_vec(value).map(Payload::json).map_err(|error| CodecError::new(error.to_string()))
}

fn begin(input: &Payload) -> Result<BodyFuture, CodecError> {
    let mut order = Order::decode(input)?;
    let input = order.input()?;
    Ok(Box::pin(Body { step: Some((order.activity, input)), op: OpId::root() }))
}

/// Awaits the one step.
struct Body {
    step: Option<(String, Payload)>,
    op: OpId,
}

impl Future for Body {
    type Output = BodyEnd;

    fn poll(mut self: Pin<&mut Self>, _: &mut PollContext<'_>) -> Poll<BodyEnd> {
        context::with("an errand", |cx| {
            if let Some((activity, input)) = self.step.take() {
                self.op = cx.next_op();
                let (op, undo) = (self.op.clone(), UndoPlan::Nothing);
                let step = StepScheduled { op, activity, input, undo, deadline: None, errand: None, at_call: None };
                cx.decide(self.op.clone(), Decision::new(Entry::StepScheduled(step), None));
            }
            match cx.take(&self.op) {
                Some(Arrival::Value(output)) => Poll::Ready(BodyEnd::Returned(output)),
                Some(Arrival::Unsuccessful(failed)) => {
                    let message = failed.failure.message.clone();
                    Poll::Ready(match report(*failed) {
                        Ok(error) => BodyEnd::Failed { error, message },
                        Err(error) => BodyEnd::Unrecordable(format!("\"{message}\" cannot be recorded: {error}")),
                    })
                }
                _ => Poll::Pending,
            }
        })
    }
}
