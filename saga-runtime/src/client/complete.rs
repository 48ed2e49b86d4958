//! Saying what became of a step, by its token.

use std::future::Future;
use std::pin::Pin;

use saga_store::Target;
use saga_store::message::MessageBody;
use saga_store::wire::{Completion, CompletionEnd, FailureKind};

use super::{Client, ClientError};
use crate::activity::{AttemptFailure, CompletesLater, CompletionToken, failure};
use crate::classify::Class;

/// No `async fn`: of an activity that is not `later` the compiler would say so at each of its parts.
type Saying<'a> = Pin<Box<dyn Future<Output = Result<(), ClientError>> + Send + 'a>>;

impl Client {
    /// Completes a step whose activity has the option `later`, with its output. `token` is what
    /// [`ActivityContext::token`](crate::ActivityContext::token) gave, as text. An activity without the
    /// option is refused by the compiler.
    ///
    /// Returns when it is durable; the step's run, in memory or not, then goes on. Costs one message
    /// and one record. The first word counts: a step that has ended keeps its end, and this is no
    /// error while its run is live. Safe to repeat.
    ///
    /// # Errors
    ///
    /// If the token is none, or is that of another activity's step; if the run is not there, or has
    /// ended.
    pub fn complete<A: CompletesLater>(&self, token: impl AsRef<str>, output: &A::Output) -> Saying<'_> {
        let (token, output) = (token.as_ref().to_owned(), self.encoder.encode(output));
        Box::pin(async move { self.say(&token, A::NAME, CompletionEnd::Returned(output?)).await })
    }

    /// Fails such a step. The error is classed as one that the activity itself returns: a transient
    /// one lets the activity ask again, as its policy says, and is one of the attempt whose token it is: if
    /// that has failed already it is ignored. A permanent one is an answer, and ends the step whichever
    /// attempt asked. See [`Client::complete`] for cost and errors.
    pub fn fail<A: CompletesLater>(&self, token: impl AsRef<str>, error: &A::Error) -> Saying<'_> {
        let AttemptFailure { failure, class } = failure::<A>(self.encoder, error);
        debug_assert_eq!(failure.kind, FailureKind::Returned);
        let (no_effect, retry_after) = match class {
            Class::Permanent => (true, None),
            Class::Transient { no_effect, retry_after } => (no_effect, retry_after.map(crate::activity::micros)),
        };
        let permanent = class == Class::Permanent;
        let token = token.as_ref().to_owned();
        let end = CompletionEnd::Failed { failure, permanent, no_effect, retry_after };
        Box::pin(async move { self.say(&token, A::NAME, end).await })
    }

    async fn say(&self, token: &str, name: &str, end: CompletionEnd) -> Result<(), ClientError> {
        let refused = |why: String| ClientError::Token { token: token.to_owned(), why };
        let (execution, op, attempt, activity) =
            CompletionToken::read(token).ok_or_else(|| refused("it is not what `cx.token()` gives".to_owned()))?;
        if activity != name {
            return Err(refused(format!("it is that of a step of `{activity}`, not of `{name}`")));
        }
        let none = || refused("its run is not there (any more)".to_owned());
        let view = self.parts.store.get_execution(execution).await?.ok_or_else(none)?;
        if view.state.is_final() {
            return Err(ClientError::HasEnded { id: view.id });
        }
        let body = MessageBody::StepCompleted(Completion { op, activity: activity.to_owned(), end, attempt });
        self.send_body(Target::Execution(execution), view.id, &body).await.map(drop)
    }
}
