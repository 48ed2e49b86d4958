//! What a test can assert of a test engine; each failure shows the journal.

use std::collections::BTreeSet;

use saga_store::wire::{Entry, OpId};

use super::diff::diff;
use super::engine::TestEngine;
use crate::activity::Activity;
use crate::history::History;

/// What became of a step.
#[derive(Debug, Clone, Default)]
pub(super) struct Fate {
    pub(super) op: OpId,
    pub(super) activity: String,
    /// Whether it may have had an effect.
    pub(super) effect: bool,
    pub(super) undone: bool,
}

fn fate_of<'a>(fates: &'a mut [Fate], op: &OpId) -> Option<&'a mut Fate> {
    fates.iter_mut().find(|fate| fate.op == *op)
}

/// What became of each step of a run, in the order in which they were scheduled.
pub(super) fn fates(history: &History) -> Vec<Fate> {
    let mut fates: Vec<Fate> = Vec::new();
    for entry in history.records.iter().flat_map(|record| &record.entries) {
        match entry {
            Entry::StepScheduled(step) => {
                fates.push(Fate { op: step.op.clone(), activity: step.activity.clone(), ..Fate::default() });
            }
            Entry::StepEnded(step) => {
                if let Some(fate) = fate_of(&mut fates, &step.op) {
                    fate.effect = true;
                }
            }
            Entry::StepFailed(step) => {
                if let Some(fate) = fate_of(&mut fates, &step.op) {
                    fate.effect = step.unknown;
                }
            }
            Entry::UndoEnded(op, _) => {
                if let Some(fate) = fate_of(&mut fates, op) {
                    fate.undone = true;
                }
            }
            _ => {}
        }
    }
    fates
}

/// The activities of the steps that were undone, in the order in which their undos ended.
fn undone(history: &History) -> Vec<String> {
    let fates = fates(history);
    let entries = history.records.iter().flat_map(|record| &record.entries);
    let ended = entries.filter_map(|entry| match entry {
        Entry::UndoEnded(op, _) => fates.iter().find(|fate| fate.op == *op).map(|fate| fate.activity.clone()),
        _ => None,
    });
    ended.collect()
}

impl TestEngine {
    /// Every step of this activity that may have had an effect is undone, in all runs, and there
    /// is one.
    ///
    /// # Panics
    ///
    /// If not; the message shows the journals.
    #[track_caller]
    pub fn assert_undone<A: Activity>(&self) {
        let fates = self.fates_of(A::NAME);
        let left: Vec<String> =
            fates.iter().filter(|fate| fate.effect && !fate.undone).map(|fate| fate.op.to_string()).collect();
        assert!(
            left.is_empty(),
            "`{}` is not undone at step {}:\n{}",
            A::NAME,
            left.join(" and step "),
            self.journals()
        );
        assert!(
            fates.iter().any(|fate| fate.undone),
            "no step of `{}` was undone: {}\n{}",
            A::NAME,
            if fates.is_empty() { "it was never called" } else { "none had an effect" },
            self.journals()
        );
    }

    /// So many steps of this activity are undone.
    ///
    /// # Panics
    ///
    /// If not; the message shows the journals.
    #[track_caller]
    pub fn assert_undone_times<A: Activity>(&self, times: usize) {
        let undone = self.fates_of(A::NAME).iter().filter(|fate| fate.undone).count();
        assert!(undone == times, "`{}` is undone {undone} times, not {times}:\n{}", A::NAME, self.journals());
    }

    /// No step of this activity is undone.
    ///
    /// # Panics
    ///
    /// If one is; the message shows the journals.
    #[track_caller]
    pub fn assert_not_undone<A: Activity>(&self) {
        self.assert_undone_times::<A>(0);
    }

    /// The steps of all runs are undone in exactly this order, by their activities' names.
    ///
    /// # Panics
    ///
    /// If not; the message shows the difference.
    #[track_caller]
    pub fn assert_undo_order(&self, activities: &[&str]) {
        let found: Vec<String> = self.histories().iter().flat_map(undone).collect();
        assert!(
            found == activities,
            "the steps are undone in another order (- expected, + found):\n{}",
            diff(activities, &found)
        );
    }

    /// This activity was called so many times, attempts counted one by one.
    ///
    /// # Panics
    ///
    /// If not; the message shows all calls.
    #[track_caller]
    pub fn assert_called<A: Activity>(&self, times: usize) {
        let called = self.called(A::NAME);
        assert!(called == times, "`{}` was called {called} times, not {times}; all calls: {:?}", A::NAME, self.log());
    }

    /// The activities were called in exactly this order, attempts one by one.
    ///
    /// # Panics
    ///
    /// If not; the message shows the difference.
    #[track_caller]
    pub fn assert_call_order(&self, activities: &[&str]) {
        let found = self.log();
        assert!(
            found == activities,
            "the activities were called in another order (- expected, + found):\n{}",
            diff(activities, &found)
        );
    }

    /// The journal of a run says exactly this, an entry a line, as [`History::lines`] has them but
    /// without number and time.
    ///
    /// # Panics
    ///
    /// If not; the message shows the difference.
    #[track_caller]
    pub fn assert_journal(&self, id: impl AsRef<str>, expected: &[&str]) {
        let history = self.history(id);
        let found: Vec<String> =
            history.records.iter().flat_map(|record| &record.entries).map(crate::history::describe).collect();
        assert!(found == expected, "the journal differs (- expected, + found):\n{}", diff(expected, &found));
    }

    fn fates_of(&self, activity: &str) -> Vec<Fate> {
        let all: Vec<Fate> = self.histories().iter().flat_map(fates).collect();
        all.into_iter().filter(|fate| fate.activity == activity).collect()
    }

    fn journals(&self) -> String {
        let names: BTreeSet<String> = self.histories().iter().map(|history| history.run.clone()).collect();
        let show = |history: History| {
            let head = if names.len() > 1 { format!("run {}:\n", history.run) } else { String::new() };
            format!("{head}{history}")
        };
        self.histories().into_iter().map(show).collect::<Vec<_>>().join("\n")
    }
}
