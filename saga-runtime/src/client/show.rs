//! A run with its journal.

use saga_store::RunView;
use saga_store::wire::{Conclusion, Record, decode, join_rows};

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
