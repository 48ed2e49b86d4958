//! Repairing a run that cannot go on by itself.

use std::collections::BTreeSet;

use saga_store::wire::{self, Conclusion, Entry, OpId, Record};
use saga_store::{RunId, RunState, StateChange, Timestamp};

use super::operate::{self, Append, Subject};
use super::{Client, ClientError};
use crate::codec::Encoder;

/// What to do about a run that cannot go on by itself. Steps are named as
/// [`Client::show`](crate::Client::show) does: `2`, or `4.1.0`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Repair {
    /// A dead run goes on where it stood: for one whose code has been corrected.
    Resume,
    /// A dead run goes on where it stood, and undo steps that failed for good are attempted anew.
    Retry,
    /// A dead run goes on, and this step's undo, which failed for good, is taken as done: for one
    /// that was undone by hand.
    Skip {
        /// The step.
        step: String,
    },
    /// This step, which has not ended, is taken to have returned this. The run may be dead or live;
    /// an attempt of the step that is under way has no say any more.
    SetResult {
        /// The step.
        step: String,
        /// What it returned, as JSON. The activity's output type must be able to read it: if it
        /// cannot, the run is dead, and can be repaired again.
        json: String,
    },
}

impl Client {
    /// Repairs a run. Reads the journal and appends one record at its head, which says what was
    /// done: what is there is never changed. Safe against a worker that drives the run: whoever
    /// comes second is refused.
    ///
    /// A repair that does not fit is an error and changes nothing: a dead run whose undo failed
    /// needs [`Repair::Retry`] or [`Repair::Skip`], and only a step that is open can be given a
    /// result. A run that dies again for the same reason can be repaired again.
    ///
    /// ```no_run
    /// # async fn example(client: saga_runtime::Client) -> Result<(), saga_runtime::ClientError> {
    /// use saga_runtime::Repair;
    /// // The payment was refunded by hand:
    /// client.repair("ORD-1", Repair::Skip { step: "2".to_owned() }).await?;
    /// # Ok(()) }
    /// ```
    pub async fn repair(&self, id: impl AsRef<str>, repair: Repair) -> Result<(), ClientError> {
        self.repair_run(RunId::new(id)?, &Subject::Run, &repair).await
    }

    pub(super) async fn repair_run(&self, id: RunId, subject: &Subject, repair: &Repair) -> Result<(), ClientError> {
        let entry = to_wire(&id, repair)?;
        let now = self.parts.clock.now();
        operate::append(self, &id, subject, |records| decide(&id, records, entry.clone(), now)).await?;
        Ok(())
    }
}

fn not_possible(id: &RunId, why: impl Into<String>) -> ClientError {
    ClientError::NotPossible { id: id.clone(), why: why.into() }
}

/// The step that a text names.
pub(super) fn step(id: &RunId, text: &str) -> Result<OpId, ClientError> {
    let path: Result<Vec<u32>, _> = text.split('.').map(str::parse).collect();
    let path = path.map_err(|_| not_possible(id, format!("`{text}` names no step; one is written `2`, or `4.1.0`")))?;
    Ok(OpId::from(path.as_slice()))
}

fn to_wire(id: &RunId, repair: &Repair) -> Result<wire::Repair, ClientError> {
    Ok(match repair {
        Repair::Resume => wire::Repair::Resume,
        Repair::Retry => wire::Repair::Retry,
        Repair::Skip { step: text } => wire::Repair::Skip(step(id, text)?),
        Repair::SetResult { step: text, json } => {
            let payload = Encoder::default()
                .without_limit()
                .json(json)
                .map_err(|error| not_possible(id, format!("the result is {error}")))?;
            if payload.len() > wire::INLINE_LIMIT as u64 {
                return Err(not_possible(id, format!("the result has more than {} bytes", wire::INLINE_LIMIT)));
            }
            wire::Repair::SetResult(step(id, text)?, payload)
        }
    })
}

/// Where a run stands that may be repaired.
#[derive(Default)]
struct Standing {
    open: BTreeSet<OpId>,
    failed_undos: BTreeSet<OpId>,
    undoing: bool,
    suspended: bool,
}

impl Standing {
    fn of(records: &[Record]) -> Self {
        let mut standing = Self::default();
        for entry in records.iter().flat_map(|record| &record.entries) {
            match entry {
                Entry::StepScheduled(step) => drop(standing.open.insert(step.op.clone())),
                Entry::StepEnded(ended) => drop(standing.open.remove(&ended.op)),
                Entry::StepFailed(failed) => drop(standing.open.remove(&failed.op)),
                Entry::Dropped(scope) => standing.open.retain(|op| !op.is_within(scope)),
                Entry::UndoFailed(failed) => drop(standing.failed_undos.insert(failed.op.clone())),
                Entry::Repaired(wire::Repair::Retry) => standing.failed_undos.clear(),
                Entry::Repaired(wire::Repair::Skip(op)) => drop(standing.failed_undos.remove(op)),
                Entry::UndoBegan(_) => standing.undoing = true,
                Entry::Suspended(_) => standing.suspended = true,
                Entry::Resumed(_) => standing.suspended = false,
                _ => {}
            }
        }
        standing
    }

    fn state(&self) -> RunState {
        if self.suspended {
            RunState::Suspended
        } else if self.undoing {
            RunState::Undoing
        } else {
            RunState::Running
        }
    }
}

fn decide(id: &RunId, records: &[Record], repair: wire::Repair, now: Timestamp) -> Result<Append, ClientError> {
    let dead = match operate::conclusion(records) {
        Some(Conclusion::Dead { .. }) => true,
        None => false,
        Some(_) => return Err(ClientError::HasEnded { id: id.clone() }),
    };
    let standing = Standing::of(records);
    let failed = || {
        let names: Vec<String> = standing.failed_undos.iter().map(ToString::to_string).collect();
        names.join(", ")
    };
    match &repair {
        wire::Repair::SetResult(op, _) if !standing.open.contains(op) => {
            return Err(not_possible(id, format!("step {op} is not open: it was not scheduled, or has ended")));
        }
        wire::Repair::SetResult(..) => {}
        _ if !dead => return Err(not_possible(id, "the run is not dead")),
        wire::Repair::Resume if !standing.failed_undos.is_empty() => {
            return Err(not_possible(
                id,
                format!("the undo of step {} failed for good: retry it or skip it", failed()),
            ));
        }
        wire::Repair::Skip(op) if !standing.failed_undos.contains(op) => {
            let which = if standing.failed_undos.is_empty() { "none has".to_owned() } else { failed() };
            return Err(not_possible(id, format!("the undo of step {op} has not failed for good ({which})")));
        }
        _ => {}
    }
    let change = StateChange { state: standing.state(), conclusion: None };
    Ok(Append { entries: vec![Entry::Repaired(repair)], change, then: operate::release(now) })
}
