//! What an exploration found.

use std::fmt;

use saga_store::wire::{Conclusion, Entry};

use super::case::Seen;
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
    /// Where each disturbance happened.
    places: Vec<String>,
    journal: String,
}

impl Finding {
    /// What is wrong with a case, beside the one that it is held against.
    pub(super) fn new(reference: &Seen, seen: &Seen, why: String) -> Self {
        let lines = |seen: &Seen| -> Vec<String> {
            let records = seen.histories.iter().take(1).flat_map(|history| &history.records);
            records.flat_map(|record| &record.entries).map(describe).collect()
        };
        let places = seen.fired.iter().map(|fired| fired.clone().unwrap_or_else(|| "nowhere".to_owned())).collect();
        let beside = reference.case.faults.iter().map(ToString::to_string).collect::<Vec<_>>().join(", then ");
        let beside = if beside.is_empty() { "undisturbed".to_owned() } else { beside };
        let journal = format!("journal (- {beside}, + disturbed):\n{}", diff(&lines(reference), &lines(seen)));
        Self { case: seen.case.name(), why, places, journal }
    }

    fn text(&self, seed: u64) -> String {
        let Self { case, why, places, journal } = self;
        let at: String = places.iter().flat_map(|place| ["\n  at: ", place.as_str()]).collect();
        format!(
            "{why}\n  disturbed by: {case}\n  seed: {seed}{at}\n  to see it again: .seed({seed}).only({case:?})\n  {journal}"
        )
    }
}

impl Explored {
    pub(super) fn new(workflow: &'static str, seed: u64, outcome: Option<&Conclusion>) -> Self {
        let outcome = outcome.map_or_else(|| "never ends".to_owned(), |end| describe(&Entry::Concluded(end.clone())));
        Self { workflow, seed, outcome, cases: 1, disturbances: 0, complete: true, findings: Vec::new() }
    }

    pub(super) fn count(&mut self, seen: &Seen) {
        self.cases += 1;
        let fired = seen.fired.iter().filter(|fired| fired.is_some()).count();
        self.disturbances += fired + usize::from(seen.case.order.is_some());
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
        self.findings.iter().map(|finding| finding.text(self.seed)).collect()
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
