//! What the journals of a database say when all is over.

use std::collections::BTreeSet;

use saga_store::wire::{Entry, Record};

use crate::Database;

const JOURNALS: &str = "SELECT execution::text, body, more FROM saga.journal ORDER BY execution, seq";

/// What was found in journals.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Histories {
    /// Runs that have a journal.
    pub runs: usize,
    /// Steps and undos that ended.
    pub ends: usize,
    /// Times that a run was taken from a worker that had not released it.
    pub takeovers: usize,
}

impl Histories {
    /// Reads all of them.
    ///
    /// # Panics
    ///
    /// If a step has ended twice, if a run has no conclusion, or anything after it.
    pub fn read(database: &Database) -> Self {
        let mut found = Self::default();
        let mut run = String::new();
        let mut ended: BTreeSet<String> = BTreeSet::new();
        let mut concluded = true;
        for row in database.rows(JOURNALS) {
            let execution: String = row.get(0);
            if execution != run {
                assert!(concluded, "the run {run} has no conclusion");
                (run, concluded) = (execution, false);
                ended.clear();
                found.runs += 1;
            }
            assert!(!row.get::<_, bool>(2), "the orders' records are small");
            let record = Record::from_bytes(row.get(1)).unwrap_or_else(|error| panic!("{run}: {error}"));
            for entry in &record.entries {
                assert!(!concluded, "{run} goes on after its conclusion: {entry:?}");
                let end = match entry {
                    Entry::StepEnded(ended) => format!("step {}", ended.op),
                    Entry::StepFailed(failed) => format!("step {}", failed.op),
                    Entry::UndoEnded(op, _) => format!("undo {op}"),
                    Entry::Claimed(claimed) => {
                        found.takeovers += usize::from(claimed.noted.is_none());
                        continue;
                    }
                    Entry::Concluded(_) => {
                        concluded = true;
                        continue;
                    }
                    _ => continue,
                };
                found.ends += 1;
                assert!(ended.insert(end.clone()), "{run}: {end} is journalled twice");
            }
        }
        assert!(concluded, "the run {run} has no conclusion");
        found
    }
}
