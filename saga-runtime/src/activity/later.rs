//! Steps that somebody else completes: a person, a webhook, another program.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use saga_store::ExecutionId;
use saga_store::wire::{Encoding, OpId, Payload, PayloadData};

use super::Activity;

/// How an attempt says that it has no output yet. Never recorded.
const LATER: Encoding = Encoding(254);

/// What an activity with the option `later` returns: its output comes later, from whoever has the
/// step's token. See [`ActivityContext::token`](crate::ActivityContext::token).
#[derive(Debug, Clone, Copy)]
pub struct Later<T>(PhantomData<fn() -> T>);

impl<T> Later<T> {
    /// The output comes later.
    #[must_use]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T> Default for Later<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Takes the output out of what an activity with the option `later` returns.
#[diagnostic::on_unimplemented(
    message = "an activity with the option `later` returns `Result<Later<T>, E>`, not `{Self}`",
    label = "not a `Later`",
    note = "write `Later<{Self}>`, and `Ok(Later::new())` where the rest is left to whoever has the token"
)]
pub trait IsLater {
    /// `T` of `Later<T>`.
    type Output;
}

impl<T> IsLater for Later<T> {
    type Output = T;
}

/// An activity with the option `later`: whoever has the token of one of its steps says what became of
/// it. Not implemented by hand.
#[diagnostic::on_unimplemented(
    message = "a step of `{Self}` is not completed by a token: the activity has no option `later`",
    label = "not `later`",
    note = "write `#[activity(later)]` and let the function return `Result<Later<T>, E>`, or name the activity whose token this is"
)]
pub trait CompletesLater: Activity {}

/// What an activity's function gives: its output, or the promise of it.
pub trait Gives<T> {
    /// The output, if it is there.
    fn given(self) -> Option<T>;
}

// Without a bound: of an output that cannot be recorded there is one error, elsewhere.
impl<T> Gives<T> for T {
    fn given(self) -> Option<T> {
        Some(self)
    }
}

impl<T> Gives<T> for Later<T> {
    fn given(self) -> Option<T> {
        None
    }
}

/// In place of an output.
pub(crate) fn later() -> Payload {
    Payload { encoding: LATER, data: PayloadData::Inline(bytes::Bytes::new()) }
}

/// Whether an attempt has ended without its output.
pub(crate) fn is_later(output: &Payload) -> bool {
    output.encoding == LATER
}

/// Names a step to whoever shall say what became of it: [`Client::complete`](crate::Client::complete)
/// and [`Client::fail`](crate::Client::fail) take it. A text; each attempt of the step has another, since
/// a failure may be one of that attempt only.
///
/// It is a name and no secret: who has access to the store can make one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CompletionToken(Arc<str>);

impl CompletionToken {
    pub(crate) fn of(execution: ExecutionId, op: &OpId, attempt: u32, activity: &str) -> Self {
        Self(format!("{execution}/{op}:{attempt}/{activity}").into())
    }

    /// The token as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The step that a token names, and which attempt: its execution, its place, its activity. A token of
    /// an older build has no attempt.
    pub(crate) fn read(token: &str) -> Option<(ExecutionId, OpId, Option<u32>, &str)> {
        let mut parts = token.splitn(3, '/');
        let execution = parts.next()?.parse().map(ExecutionId::from_uuid).ok()?;
        let place = parts.next()?;
        let (path, attempt) = match place.split_once(':') {
            Some((path, attempt)) => (path, Some(attempt.parse().ok()?)),
            None => (place, None),
        };
        let path: Result<Vec<u32>, _> = path.split('.').map(str::parse).collect();
        Some((execution, OpId::from(path.ok()?.as_slice()), attempt, parts.next()?))
    }
}

impl AsRef<str> for CompletionToken {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CompletionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
