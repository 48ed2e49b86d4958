//! Activities that do in the [`World`] what a test planned.

use saga_runtime::prelude::*;
use serde::{Deserialize, Serialize};

use crate::world::{StepError, World};

/// A step without undo.
#[activity(retry(initial = "1ms", max = "2ms"))]
pub async fn step(#[state] world: &World, #[context] cx: &ActivityContext, name: String) -> Result<String, StepError> {
    world.attempt(cx, &name).await
}

/// A step whose undo is known before its first attempt.
#[activity(retry(initial = "1ms", max = "2ms"), compensate = undo_step(name))]
pub async fn pay(#[state] world: &World, #[context] cx: &ActivityContext, name: String) -> Result<String, StepError> {
    world.attempt(cx, &name).await
}

/// A step whose undo needs its output.
#[activity(retry(initial = "1ms", max = "2ms"), compensate = undo_output(output))]
pub async fn book(#[state] world: &World, #[context] cx: &ActivityContext, name: String) -> Result<String, StepError> {
    world.attempt(cx, &name).await
}

/// A point of no return.
#[activity(pivot, retry(initial = "1ms", max = "2ms"))]
pub async fn seal(#[state] world: &World, #[context] cx: &ActivityContext, name: String) -> Result<String, StepError> {
    world.attempt(cx, &name).await
}

/// Undoes [`pay`].
#[activity(retry(initial = "1ms", max = "2ms"))]
pub async fn undo_step(#[state] world: &World, #[context] cx: &ActivityContext, name: String) -> Result<(), StepError> {
    world.attempt(cx, &format!("undo {name}")).await.map(drop)
}

/// Undoes [`book`].
#[activity(retry(initial = "1ms", max = "2ms"))]
pub async fn undo_output(
    #[state] world: &World,
    #[context] cx: &ActivityContext,
    output_of: String,
) -> Result<(), StepError> {
    world.attempt(cx, &format!("undo {output_of}")).await.map(drop)
}

/// What the tests' workflows fail with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum SagaError {
    /// A step failed.
    #[error(transparent)]
    Step(#[from] ActivityError<StepError>),
    /// The workflow's own decision.
    #[error("the workflow gives up")]
    GivesUp,
}
