//! What a run has missed while it was dead: to the store it had ended, and nobody could tell it what
//! became of what it had under way elsewhere.

use saga_store::message::{ChildEnded, MessageBody};
use saga_store::wire::{ChildEnd, Conclusion, OpId, decode};
use saga_store::{ExecutionId, RunId, RunView, StoreError};

use super::pace::OUTAGE_POLL;
use super::shared::Shared;
use crate::externalize::internalize_conclusion;
use crate::machine::Machine;

/// Tells a run that was repaired how that ended, as far as it did. An outage is waited out.
pub(super) async fn catch_up(shared: &Shared, run: &RunId, machine: &mut Machine, missed: Vec<(OpId, ExecutionId)>) {
    for (op, execution) in missed {
        let end = loop {
            match end_of(shared, run, execution).await {
                Ok(end) => break end,
                Err(error) if error.is_retryable() && !shared.is_stopping() => {
                    shared.clock.sleep_until(shared.clock.now().after(OUTAGE_POLL)).await;
                }
                Err(error) => {
                    tracing::warn!(
                        %error, %run, %execution,
                        "this run was repaired and waits for an execution whose end cannot be read; a worker that takes \
                         the run up asks again: restart this one when the store can be read"
                    );
                    break None;
                }
            }
        };
        if let Some(end) = end {
            machine.receive(MessageBody::ChildEnded(ChildEnded { op, end, undo: None }), shared.clock.now());
        }
    }
}

async fn end_of(shared: &Shared, run: &RunId, execution: ExecutionId) -> Result<Option<ChildEnd>, StoreError> {
    let ended = |view: RunView| view.conclusion.filter(|_| view.state.is_final());
    let Some(bytes) = shared.store.get_execution(execution).await?.and_then(ended) else { return Ok(None) };
    let mut conclusion = match decode::<Conclusion>(&bytes) {
        Ok(conclusion) => conclusion,
        Err(error) => {
            tracing::warn!(
                %error, %run, %execution,
                "this run was repaired and waits for an execution whose end this build cannot read; a worker that takes \
                 the run up asks again: replace this one by one of a newer build"
            );
            return Ok(None);
        }
    };
    internalize_conclusion(&*shared.store, execution, &mut conclusion).await?;
    Ok(ChildEnd::of(&conclusion))
}
