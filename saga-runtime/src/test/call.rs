//! What an activity was called with, for a test to look at.

use saga_store::wire::FailureKind;
use saga_store::{RunId, Timestamp};

use super::rig::Called;
use crate::activity::{Activity, ActivityError, IdempotencyKey};
use crate::codec;

/// One attempt of an activity, typed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Call<A: Activity> {
    /// What it was called with.
    pub input: A,
    /// The run that called it.
    pub run: RunId,
    /// The step's key: equal for all attempts of one step.
    pub key: IdempotencyKey,
    /// Which attempt of the step it was, from 1.
    pub attempt: u32,
    /// Whether it undid a step.
    pub undo: bool,
    /// When, in virtual time.
    pub at: Timestamp,
    /// What it returned; none if it panicked, was dropped, or has not ended.
    pub returned: Option<Result<A::Output, ActivityError<A::Error>>>,
}

impl<A: Activity> Call<A> {
    pub(super) fn of(called: &Called) -> Self {
        let unreadable = |what: &str, error: codec::CodecError| -> ! {
            panic!("the {what} of `{}` cannot be read back: {error}", A::NAME)
        };
        let returned =
            called.end.as_ref().map(|end| match end {
                Ok(output) => Ok(codec::decode(output).unwrap_or_else(|error| unreadable("output", error))),
                Err(failure) if failure.failure.kind == FailureKind::Panicked => {
                    Err(ActivityError::Panicked(failure.failure.message.clone()))
                }
                Err(failure) => Err(ActivityError::from_failure(failure.failure.clone())
                    .unwrap_or_else(|error| unreadable("error", error))),
            });
        Self {
            input: codec::decode(&called.input).unwrap_or_else(|error| unreadable("input", error)),
            run: called.run.clone(),
            key: called.key.clone(),
            attempt: called.attempt,
            undo: called.undo,
            at: called.at,
            returned,
        }
    }
}
