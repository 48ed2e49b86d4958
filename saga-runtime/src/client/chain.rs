//! The executions in which a run goes on, one after another: whoever holds an old one is led to the
//! last.

use std::time::Duration;

use saga_store::wire::{Conclusion, decode};
use saga_store::{ExecutionId, RunId, RunState, RunView};

use super::{ClientError, Parts};
use crate::clock::Clock;

/// How often it is looked whether an execution is there in which a run goes on, before its caller is
/// told to try again: some five seconds.
pub(super) const ROUNDS: u32 = 50;

/// The execution in which this one goes on, if it does.
pub(super) fn next_of(view: &RunView) -> Result<Option<ExecutionId>, ClientError> {
    if view.state != RunState::Continued {
        return Ok(None);
    }
    let unreadable = |why: String| ClientError::Unreadable { id: view.id.clone(), why };
    let bytes = view.conclusion.as_ref().ok_or_else(|| unreadable("where it goes on was not recorded".to_owned()))?;
    match decode(bytes) {
        Ok(Conclusion::Continued { next }) => Ok(Some(next)),
        Ok(other) => Err(unreadable(format!("it goes on, and ended with {other:?}"))),
        Err(error) => Err(unreadable(error.to_string())),
    }
}

/// The last execution that is there of those in which this one goes on. If that goes on as well, the
/// next one is about to be started.
pub(super) async fn last(parts: &Parts, id: &RunId, execution: ExecutionId) -> Result<RunView, ClientError> {
    let found = parts.store.get_execution(execution).await?;
    let mut view = found.ok_or_else(|| ClientError::NoRun { id: id.clone() })?;
    while let Some(next) = next_of(&view)? {
        match parts.store.get_execution(next).await? {
            Some(further) => view = further,
            None => break,
        }
    }
    Ok(view)
}

/// The same, once it does not go on itself.
pub(super) async fn settled(parts: &Parts, id: &RunId, execution: ExecutionId) -> Result<RunView, ClientError> {
    let mut view = last(parts, id, execution).await?;
    for round in 0..ROUNDS {
        if view.state != RunState::Continued {
            return Ok(view);
        }
        pause(&*parts.clock, round).await;
        view = last(parts, id, view.execution).await?;
    }
    Err(ClientError::GoesOn { id: id.clone() })
}

pub(super) async fn pause(clock: &dyn Clock, round: u32) {
    let pause = Duration::from_millis(u64::from(round.min(50)) * 4);
    clock.sleep_until(clock.now().after(pause)).await;
}
