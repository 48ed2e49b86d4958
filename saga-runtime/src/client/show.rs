//! A run with its journal.

use std::collections::BTreeMap;

use saga_store::RunView;
use saga_store::wire::{Conclusion, Entry, OpId, Record, decode, join_rows};

use super::ClientError;
use crate::erased::AnyStore;
use crate::externalize::internalize;
use crate::history::{History, HistoryError};

/// A run with all that its journal says.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RunDetails {
    /// The run as it stands.
    pub view: RunView,
    /// Its journal, in order, large payloads included.
    pub records: Vec<Record>,
    /// How it ended, if it has.
    pub conclusion: Option<Conclusion>,
}

impl RunDetails {
    /// The journal by itself, to be read as lines or kept as a file.
    pub fn history(&self) -> Result<History, HistoryError> {
        History::of(self.records.clone())
    }
}

/// An undo step that failed for good.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UndoError {
    /// The step that is not undone.
    pub step: OpId,
    /// The attempts that were made.
    pub attempts: u32,
    /// Why it failed.
    pub message: String,
}

impl RunDetails {
    /// The undo steps that failed for good and did not succeed since: what is not undone, unless an
    /// operator did it by hand. A run with `on_undo_failure = continue` can have several.
    pub fn undo_errors(&self) -> Vec<UndoError> {
        let mut errors: BTreeMap<OpId, UndoError> = BTreeMap::new();
        for entry in self.records.iter().flat_map(|record| &record.entries) {
            match entry {
                Entry::UndoFailed(failed) => {
                    let (step, message) = (failed.op.clone(), failed.failure.message.clone());
                    errors.insert(step.clone(), UndoError { step, attempts: failed.attempt, message });
                }
                Entry::UndoEnded(op, _) => drop(errors.remove(op)),
                _ => {}
            }
        }
        errors.into_values().collect()
    }
}

pub(super) async fn details(store: &dyn AnyStore, view: RunView) -> Result<RunDetails, ClientError> {
    let unreadable = |why: String| ClientError::Unreadable { id: view.id.clone(), why };
    let Some(loaded) = store.load(&[view.execution]).await?.pop() else {
        return Err(ClientError::NoRun { id: view.id });
    };
    let mut records = join_rows(&loaded.journal).map_err(|error| unreadable(error.to_string()))?;
    internalize(store, view.execution, &mut records).await?;
    let conclusion = loaded
        .view
        .conclusion
        .as_ref()
        .map(|bytes| decode(bytes))
        .transpose()
        .map_err(|error| unreadable(error.to_string()))?;
    Ok(RunDetails { view: loaded.view, records, conclusion })
}
