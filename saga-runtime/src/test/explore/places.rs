//! Where something can go wrong with a run, and what can.

use saga_store::Row;
use saga_store::wire::Record;

use super::case::Seen;
use super::fault::{Fault, How};
use crate::history::describe;
use crate::test::rig::Called;

/// The commits and attempts of a case, in their order.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    /// What each commit says; nothing where nobody asked for it.
    pub(super) commits: Vec<String>,
    pub(super) attempts: Vec<Attempt>,
    /// The commit that ended the run itself, if it has ended: there is nothing to cancel any more.
    pub(super) end: Option<usize>,
}

/// One attempt.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    key: String,
    activity: &'static str,
    undo: bool,
    says: String,
    /// How many commits had been handed to the store when it began.
    commits: usize,
}

impl Attempt {
    pub(super) fn new(called: &Called, commits: usize) -> Self {
        let (key, says) = (called.key.to_string(), Self::place(called));
        Self { key, activity: called.activity, undo: called.undo, says, commits }
    }

    /// Which attempt it is, in words.
    pub(super) fn place(called: &Called) -> String {
        let key = called.key.as_str();
        let step = key.split_once('/').map_or(key, |(_, step)| step);
        format!("attempt {} of `{}` at step {step}", called.attempt, called.activity)
    }
}

impl Places {
    /// What a commit says, in words.
    pub(super) fn commit(rows: &[Row]) -> String {
        let bytes: Vec<u8> = rows.iter().flat_map(|row| row.body.iter().copied()).collect();
        match Record::from_bytes(&bytes) {
            Ok(record) => record.entries.iter().map(describe).collect::<Vec<_>>().join("; "),
            Err(error) => format!("a record that cannot be read: {error}"),
        }
    }

    /// What stands where this is to happen.
    pub(super) fn of(&self, fault: &Fault) -> Option<&str> {
        let attempt = |number: usize| self.attempts.get(number).map(|attempt| attempt.says.as_str());
        match fault {
            Fault::CrashBeforeCommit(number) | Fault::CrashAfterCommit(number) | Fault::CancelAfterCommit(number) => {
                self.commits.get(*number).map(String::as_str)
            }
            Fault::CrashBeforeAttempt(number) | Fault::CrashAfterAttempt(number) | Fault::Twice(number) => {
                attempt(*number)
            }
            Fault::Fail { key, .. } => attempt(self.attempts.iter().position(|attempt| attempt.key == *key)?),
        }
    }
}

/// What may be done to a run, chosen one by one.
#[derive(Debug, Clone, Copy, Default)]
#[allow(clippy::struct_excessive_bools, reason = "kinds of disturbances, chosen one by one")]
pub(super) struct Kinds {
    pub(super) crashes: bool,
    pub(super) failures: bool,
    pub(super) twice: bool,
    pub(super) orders: bool,
    pub(super) cancels: bool,
}

impl Kinds {
    /// Each disturbance of these kinds, at each place of the undisturbed run.
    pub(super) fn single(self, base: &Seen) -> Vec<Fault> {
        let Places { commits, attempts, end } = &base.places;
        let mut faults = self.harmless(0..commits.len(), 0..attempts.len(), |_| true);
        if self.cancels {
            faults.extend((0..end.unwrap_or(commits.len())).map(Fault::CancelAfterCommit));
        }
        if self.failures {
            let mut keys = std::collections::BTreeSet::new();
            for Attempt { key, activity, undo, .. } in attempts {
                if keys.insert(key) {
                    let ways: &[How] = if *undo { &How::PASSING } else { &How::ALL };
                    faults.extend(ways.iter().map(|how| Fault::Fail { key: key.clone(), activity, how: *how }));
                }
            }
        }
        faults
    }

    /// What may befall a disturbed run on its way back, beyond what has: crashes around each commit
    /// and attempt from the first undo on, and each undo made twice.
    pub(super) fn on_the_way_back(self, seen: &Seen) -> Vec<Fault> {
        let Places { commits, attempts, .. } = &seen.places;
        let Some(first) = attempts.iter().position(|attempt| attempt.undo) else { return Vec::new() };
        self.harmless(attempts[first].commits..commits.len(), first..attempts.len(), |attempt| attempts[attempt].undo)
    }

    fn harmless(
        self,
        commits: std::ops::Range<usize>,
        attempts: std::ops::Range<usize>,
        takes_part: impl Fn(usize) -> bool,
    ) -> Vec<Fault> {
        let mut faults = Vec::new();
        let attempts: Vec<usize> = attempts.filter(|number| takes_part(*number)).collect();
        if self.crashes {
            faults.extend(commits.flat_map(|n| [Fault::CrashBeforeCommit(n), Fault::CrashAfterCommit(n)]));
            faults.extend(attempts.iter().flat_map(|n| [Fault::CrashBeforeAttempt(*n), Fault::CrashAfterAttempt(*n)]));
        }
        if self.twice {
            faults.extend(attempts.iter().map(|n| Fault::Twice(*n)));
        }
        faults
    }
}

/// What is undone in a case, and in which order: cases with the same way back need not be
/// disturbed on it twice.
pub(super) fn way_back(seen: &Seen) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    for attempt in seen.places.attempts.iter().filter(|attempt| attempt.undo) {
        if !keys.contains(&attempt.key) {
            keys.push(attempt.key.clone());
        }
    }
    keys
}
