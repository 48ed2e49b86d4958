//! Awaiting an activity.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as PollContext, Poll};

use saga_store::wire::{Entry, Errand, InSession, OpId, StepScheduled, UndoPlan};

use crate::activity::{Activity, ActivityError, ActivityOptions, IdempotencyKey, Overrides, UndoKind, micros};
use crate::call::ActivityCall;
use crate::codec;
use crate::codec::CodecError;
use crate::context::{self, Arrival, Context, Decision, StepCode};
use crate::derive;
use crate::durable::{Durable, sealed::Sealed};
use crate::session::Place;

impl<A: Activity> Sealed for ActivityCall<A> {}

#[diagnostic::do_not_recommend]
impl<A: Activity> Durable for ActivityCall<A> {
    type Output = Result<A::Output, ActivityError<A::Error>>;
    type Operation = StepFuture<A>;

    fn into_operation(self) -> StepFuture<A> {
        StepFuture(State::New(Some(self)))
    }
}

/// An awaited activity. Records its schedule with its undo before the first attempt, and its end.
#[doc(hidden)]
pub struct StepFuture<A: Activity>(State<A>);

enum State<A: Activity> {
    New(Option<ActivityCall<A>>),
    Waiting(OpId),
}

// Nothing in it is pinned: it holds no future.
impl<A: Activity> Unpin for StepFuture<A> {}

impl<A: Activity> Future for StepFuture<A> {
    type Output = Result<A::Output, ActivityError<A::Error>>;

    fn poll(mut self: Pin<&mut Self>, _: &mut PollContext<'_>) -> Poll<Self::Output> {
        if let State::New(call) = &mut self.0 {
            let Some(call) = call.take() else { return Poll::Pending };
            match schedule(call) {
                Ok(op) => self.0 = State::Waiting(op),
                Err(message) => return Poll::Ready(Err(ActivityError::Payload(message))),
            }
        }
        let State::Waiting(op) = &self.0 else { return Poll::Pending };
        context::with(A::NAME, |cx| match cx.take(op) {
            Some(Arrival::Value(output)) => match codec::decode::<A::Output>(&output) {
                Ok(output) => Poll::Ready(Ok(output)),
                Err(error) => {
                    cx.fail(format!("the recorded output of step {op} `{}` cannot be read: {error}", A::NAME));
                    Poll::Pending
                }
            },
            Some(Arrival::Failure(failure)) => match ActivityError::from_failure(*failure) {
                Ok(error) => Poll::Ready(Err(error)),
                Err(error) => {
                    cx.fail(format!("the recorded error of step {op} `{}` cannot be read: {error}", A::NAME));
                    Poll::Pending
                }
            },
            Some(Arrival::Fired | Arrival::Child(_) | Arrival::Unsuccessful(_)) | None => Poll::Pending,
        })
    }
}

fn schedule<A: Activity>(mut call: ActivityCall<A>) -> Result<OpId, String> {
    context::with(A::NAME, |cx| {
        let op = cx.next_op();
        if let Some(message) = cx.refused(&op) {
            return Err(message);
        }
        let encoder = cx.encoder_at(&op);
        let mut unrecordable = |what: &str, error: CodecError| {
            let message = format!("{what} of `{}` cannot be recorded: {error}", A::NAME);
            if error.is_too_large() {
                cx.refuse(&op, &message);
            }
            message
        };
        let input = encoder.encode(&call.input).map_err(|error| unrecordable("the input", error))?;
        let by_hand = call.undo.take().map(|undo| undo.into_step(encoder)).transpose();
        let by_hand = by_hand.map_err(|error| unrecordable("the undo", error))?;
        let undo = match A::UNDO {
            _ if by_hand.is_some() => by_hand.map_or(UndoPlan::Nothing, UndoPlan::Known),
            _ if call.overrides.no_compensation => UndoPlan::Nothing,
            UndoKind::Nothing => UndoPlan::Nothing,
            UndoKind::FromOutput => UndoPlan::FromOutput,
            UndoKind::FromInput => {
                // Decoding the recorded input gives the undo an owned one, without a `Clone` bound.
                let owned = codec::decode::<A>(&input).map_err(|error| unrecordable("the input", error))?;
                match owned.undo_from_input() {
                    Some(undo) => {
                        UndoPlan::Known(undo.into_step(encoder).map_err(|error| unrecordable("the undo", error))?)
                    }
                    None => UndoPlan::Nothing,
                }
            }
        };
        let deadline = call.overrides.deadline.map(|deadline| cx.now().after(deadline).as_micros());
        let session = call.session.take().map(|session| *session).transpose()?;
        let queue = call.queue.as_deref().or(A::OPTIONS.queue);
        if let (Some(session), Some(queue)) = (&session, queue)
            && session.queue != queue
        {
            return Err(format!(
                "`{}` is for queue `{queue}`, and the session is on `{}`: begin one on `{queue}` for it",
                A::NAME,
                session.queue
            ));
        }
        let errand = match session.as_ref().map(|session| session.queue.as_str()).or(queue) {
            Some(queue) => {
                let errand = errand(cx, &op, queue, &call.overrides, &A::OPTIONS)?;
                let session = session
                    .as_ref()
                    .map(|Place { op, execution, .. }| InSession { op: op.clone(), execution: *execution });
                let priority = call.priority.or(A::OPTIONS.priority);
                Some(Box::new(Errand { priority, session, ..errand }))
            }
            None if call.priority.is_some() => {
                return Err(format!("`{}` has a priority and no queue to wait on: add `.queue(…)`", A::NAME));
            }
            None => None,
        };
        let mut at_call = call.overrides.at_call().filter(|_| errand.is_none()).map(Box::new);
        if let Some(key) = call.key.take() {
            IdempotencyKey::check(&key)?;
            at_call.get_or_insert_default().key = Some(key);
        }
        let entry = Entry::StepScheduled(StepScheduled {
            op: op.clone(),
            activity: A::NAME.to_owned(),
            input,
            undo,
            deadline,
            at_call,
            errand,
        });
        let step = StepCode { definition: A::definition(), overrides: call.overrides };
        cx.decide(op.clone(), Decision::new(entry, Some(step)));
        if A::OPTIONS.pivot {
            cx.note(Entry::Pivot(op.clone()));
        }
        Ok(op)
    })
}

/// The run that makes the attempts on a worker of this queue.
fn errand(
    cx: &Context,
    op: &OpId,
    queue: &str,
    overrides: &Overrides,
    options: &ActivityOptions,
) -> Result<Errand, String> {
    crate::errand::check_queue(queue)?;
    Ok(Errand {
        queue: queue.to_owned(),
        execution: derive::child(cx.execution(), op, cx.now()),
        retry: overrides.retry(options).to_wire(),
        timeout: micros(overrides.timeout(options)),
        default_timeout: overrides.timeout.or(options.timeout).is_none(),
        priority: None,
        session: None,
    })
}
