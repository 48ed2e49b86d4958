//! What must hold of each run, whatever came when: an attempt is of a step that is in a durable
//! record and has not ended; what is undone is undone in reverse; nothing that may have happened is
//! left when the run has failed or was cancelled, and nothing is undone that the run kept.

use std::collections::{BTreeMap, BTreeSet};

use saga_store::wire::{Conclusion, Entry, OpId, Record, UndoPlan};

#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, not a state")]
struct Work {
    scheduled: u64,
    ended: Option<u64>,
    /// It has something to undo.
    undoable: bool,
    /// So many attempts of it were begun that may have had an effect.
    begun: u32,
    /// It failed, and surely had no effect.
    harmless: bool,
    undone: bool,
    pivot: bool,
}

#[derive(Debug, Default)]
pub(super) struct Judge {
    works: BTreeMap<OpId, Work>,
    dropped: BTreeSet<OpId>,
    undoing: bool,
    /// Where the last point of no return was passed.
    passed: Option<(u64, OpId)>,
    position: u64,
}

impl Judge {
    /// A record is durable.
    pub(super) fn keep(&mut self, record: &Record) {
        for entry in &record.entries {
            let position = self.position;
            self.position += 1;
            match entry {
                Entry::StepScheduled(step) => {
                    let undoable = step.undo != UndoPlan::Nothing;
                    let begun = u32::from(step.errand.is_some());
                    self.schedule(position, &step.op, Work { undoable, begun, ..Work::default() });
                }
                Entry::ChildScheduled(child) => {
                    let undoable = child.undo != UndoPlan::Nothing;
                    self.schedule(position, &child.op, Work { undoable, begun: 1, ..Work::default() });
                }
                Entry::UndoAdded(op, _) => {
                    let work = Work { undoable: true, ended: Some(position), ..Work::default() };
                    self.schedule(position, op, work);
                }
                Entry::StepEnded(ended) => {
                    assert!(self.work(&ended.op).ended.replace(position).is_none(), "step {} ended twice", ended.op);
                    if self.work(&ended.op).pivot {
                        self.passed = Some((self.work(&ended.op).scheduled, ended.op.clone()));
                    }
                }
                Entry::StepFailed(failed) => {
                    self.work(&failed.op).harmless = !failed.unknown;
                }
                Entry::ChildEnded(ended) => match &ended.end {
                    saga_store::wire::ChildEnd::Completed(_) => self.work(&ended.op).ended = Some(position),
                    _ => self.work(&ended.op).harmless = true,
                },
                Entry::Pivot(op) => match self.works.get_mut(op) {
                    Some(work) => work.pivot = true,
                    None => self.passed = Some((position, op.clone())),
                },
                Entry::Dropped(scope) => drop(self.dropped.insert(scope.clone())),
                Entry::UndoBegan(_) => self.undoing = true,
                Entry::UndoEnded(op, _) => {
                    let work = self.work(op);
                    assert!(!std::mem::replace(&mut work.undone, true), "step {op} was undone twice");
                }
                _ => {}
            }
        }
    }

    fn schedule(&mut self, position: u64, op: &OpId, work: Work) {
        let work = Work { scheduled: position, ..work };
        assert!(self.works.insert(op.clone(), work).is_none(), "{op} was scheduled twice");
    }

    fn work(&mut self, op: &OpId) -> &mut Work {
        self.works.get_mut(op).unwrap_or_else(|| panic!("{op} ended and was never scheduled"))
    }

    fn is_dropped(&self, op: &OpId) -> bool {
        self.dropped.iter().any(|scope| op.is_within(scope))
    }

    /// What the last point of no return keeps: what came before it, and not beside it.
    fn is_sealed(&self, work: &Work) -> bool {
        self.passed.as_ref().is_some_and(|(position, _)| work.scheduled <= *position)
    }

    /// An attempt begins of a step, or of its undo.
    pub(super) fn begins(&mut self, records: &[Record], op: &OpId, undo: bool) {
        if !undo {
            let work = self.work(op);
            assert!(work.ended.is_none(), "step {op} has ended and is attempted again\n{records:#?}");
            work.begun += 1;
            return;
        }
        let dropped = self.is_dropped(op);
        assert!(dropped || self.undoing, "step {op} is undone and nobody has dropped it\n{records:#?}");
        let work = &self.works[op];
        assert!(work.undoable && !work.undone, "step {op} has nothing to undo\n{records:#?}");
        assert!(dropped || !self.is_sealed(work), "step {op} is undone past a point of no return\n{records:#?}");
        let Some(ended) = work.ended else { return };
        // Those of the branch that was dropped; of all, where the run is undone.
        let around =
            |other: &OpId| !dropped || self.dropped.iter().any(|scope| op.is_within(scope) && other.is_within(scope));
        for (other, later) in &self.works {
            let first = later.scheduled > ended
                && later.undoable
                && later.ended.is_some()
                && !later.undone
                && !self.is_sealed(later);
            assert!(!first || !around(other), "step {op} is undone before {other}, which came later\n{records:#?}");
        }
    }

    /// An attempt has ended that surely had no effect.
    pub(super) fn did_nothing(&mut self, op: &OpId) {
        let work = self.work(op);
        work.begun = work.begun.saturating_sub(1);
    }

    /// The run has ended so.
    pub(super) fn ends(&self, conclusion: &Conclusion) -> Result<(), String> {
        let undone = matches!(conclusion, Conclusion::Failed { .. } | Conclusion::Cancelled(_));
        for (op, work) in &self.works {
            let taken_back = undone && !self.is_sealed(work) || self.is_dropped(op);
            // What may have had an effect counts as done.
            let done = work.ended.is_some() || !work.harmless && work.begun > 0;
            if taken_back && work.undoable && done && !work.undone && !self.is_sealed(work) {
                return Err(format!("{op} is not undone: {work:?}"));
            }
            if !taken_back && work.undone {
                return Err(format!("{op} is undone and was to be kept: {work:?}"));
            }
        }
        Ok(())
    }
}
