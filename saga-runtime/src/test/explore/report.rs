//! What an exploration found.

use std::fmt;

use saga_store::wire::{Conclusion, Entry};

use super::case::{Case, Seen};
use crate::history::describe;
use crate::test::diff::diff;

/// What an exploration came to.
#[derive(Debug)]
#[must_use = "whether something was found is known only when it is looked at: add `.assert_same_outcome()`"]
pub struct Explored {
    workflow: &'static str,
    seed: u64,
    outcome: String,
    cases: usize,
    disturbances: usize,
    complete: bool,
    findings: Vec<Finding>,
}

/// A case that came to what it must not come to, in its smallest form.
#[derive(Debug)]
pub(super) struct Finding {
    case: String,
    why: String,
    journal: String,
}

impl Finding {
    pub(super) fn new(base: &Seen, case: &Case, seen: &Seen, why: String) -> Self {
        let mut parts: Vec<String> = case.faults.iter().map(ToString::to_string).collect();
        if let Some(order) = &case.order {
            parts.push(format!("answers of steps side by side in the order {order:?}"));
        }
        let case = if parts.is_empty() { "nothing, the run by itself".to_owned() } else { parts.join(", then ") };
        let lines = |seen: &Seen| -> Vec<String> {
            seen.history.records.iter().flat_map(|record| &record.entries).map(describe).collect()
        };
        Self { case, why, journal: diff(&lines(base), &lines(seen)) }
    }
}

impl Explored {
    pub(super) fn new(workflow: &'static str, seed: u64, outcome: Option<&Conclusion>) -> Self {
        let outcome = outcome.map_or_else(|| "never ends".to_owned(), |end| describe(&Entry::Concluded(end.clone())));
        Self { workflow, seed, outcome, cases: 1, disturbances: 0, complete: true, findings: Vec::new() }
    }

    pub(super) fn count(&mut self, case: &Case, seen: &Seen) {
        self.cases += 1;
        self.disturbances += seen.fired.iter().filter(|fired| **fired).count() + usize::from(case.order.is_some());
    }

    pub(super) fn cut_short(&mut self) {
        self.complete = false;
    }

    pub(super) fn found(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// How many times the workflow was run.
    pub fn cases(&self) -> usize {
        self.cases
    }

    /// How many disturbances really happened.
    pub fn disturbances(&self) -> usize {
        self.disturbances
    }

    /// Whether every single disturbance was tried; false if the budget ended before.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// What was found, one text each, with what to do to see it again.
    pub fn findings(&self) -> Vec<String> {
        let text = |finding: &Finding| {
            format!(
                "{}\n  disturbed by: {}\n  seed: {}\n  journal (- undisturbed, + disturbed):\n{}",
                finding.why, finding.case, self.seed, finding.journal
            )
        };
        self.findings.iter().map(text).collect()
    }

    /// Every case ended as the undisturbed run, with the same side effects, or, where something
    /// failed or was cancelled, undone in full.
    ///
    /// # Panics
    ///
    /// If one did not: the message says which, why, and how to see it again.
    #[track_caller]
    pub fn assert_same_outcome(&self) {
        let found = self.findings();
        if let Some(first) = found.first() {
            panic!("{} of {} cases of `{}` went wrong; the first: {first}", found.len(), self.cases, self.workflow);
        }
    }
}

impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { workflow, outcome, cases, disturbances, .. } = self;
        write!(
            f,
            "`{workflow}` {outcome}: {cases} cases, {disturbances} disturbances, {} findings",
            self.findings.len()
        )
    }
}
