//! Whether a run is past its point of no return.

use std::collections::BTreeSet;

use saga_store::RunView;
use saga_store::wire::{Entry, OpId, Record, join_rows};

use super::ClientError;
use crate::erased::AnyStore;

/// An error if the run's journal says that it is past the pivot, so that a cancel would be refused.
pub(super) async fn refuse_cancel(store: &dyn AnyStore, view: &RunView) -> Result<(), ClientError> {
    let Some(run) = store.load(&[view.execution]).await?.pop() else { return Ok(()) };
    // A journal of a newer build is that build's to judge.
    let Ok(records) = join_rows(&run.journal) else { return Ok(()) };
    if is_passed(&records) { Err(ClientError::PastPivot { id: view.id.clone() }) } else { Ok(()) }
}

/// Whether these records tell of a pivot that took effect: that of a step which ended, or its own.
fn is_passed(records: &[Record]) -> bool {
    let mut scheduled: BTreeSet<&OpId> = BTreeSet::new();
    let mut open: BTreeSet<&OpId> = BTreeSet::new();
    for entry in records.iter().flat_map(|record| &record.entries) {
        match entry {
            Entry::StepScheduled(step) => {
                scheduled.insert(&step.op);
            }
            Entry::Pivot(op) if !scheduled.contains(op) => return true,
            Entry::Pivot(op) => {
                open.insert(op);
            }
            Entry::StepEnded(ended) if open.contains(&ended.op) => return true,
            _ => {}
        }
    }
    false
}
