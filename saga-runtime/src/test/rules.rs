//! What holds of every journal, whatever happened to its run.

use std::collections::BTreeMap;

use saga_store::wire::{Entry, OpId, Record, UndoPlan};

/// One step, as a journal shows it.
#[derive(Debug, Default)]
struct Step {
    scheduled: usize,
    ended: Option<usize>,
    undone: Option<usize>,
    undoable: bool,
    effect: bool,
}

/// The first rule that a journal breaks. The numbers are those of the rules of the engine.
pub(crate) fn broken(records: &[Record]) -> Option<String> {
    let mut steps: BTreeMap<&OpId, Step> = BTreeMap::new();
    let mut concluded = None;
    let entries = records.iter().flat_map(|record| &record.entries);
    for (at, entry) in entries.enumerate() {
        if let Some(end) = concluded {
            return Some(format!("rule 2: entry {at} follows the run's end at entry {end}"));
        }
        match entry {
            Entry::Started(_) if at > 0 => return Some(format!("rule 1: a second start at entry {at}")),
            Entry::StepScheduled(step) => {
                let undoable = step.undo != UndoPlan::Nothing;
                let new = Step { scheduled: at, undoable, ..Step::default() };
                if steps.insert(&step.op, new).is_some() {
                    return Some(format!("rule 1: step {} is scheduled twice, again at entry {at}", step.op));
                }
            }
            Entry::StepEnded(step) => {
                if let Some(broken) = ended(&mut steps, &step.op, at, true) {
                    return Some(broken);
                }
            }
            Entry::StepFailed(step) => {
                if let Some(broken) = ended(&mut steps, &step.op, at, step.unknown) {
                    return Some(broken);
                }
            }
            Entry::UndoEnded(op, _) => {
                if let Some(step) = steps.get_mut(op)
                    && let Some(before) = step.undone.replace(at)
                {
                    return Some(format!("rule 6: step {op} is undone twice, at entries {before} and {at}"));
                }
            }
            Entry::Concluded(_) => concluded = Some(at),
            _ => {}
        }
    }
    undo_order(&steps)
}

fn ended(steps: &mut BTreeMap<&OpId, Step>, op: &OpId, at: usize, effect: bool) -> Option<String> {
    let Some(step) = steps.get_mut(op) else {
        return Some(format!("rule 1: step {op} ends at entry {at} and was never scheduled"));
    };
    step.effect = effect;
    match step.ended.replace(at) {
        // A step of unknown outcome is settled by another attempt.
        Some(before) if !step.undoable => Some(format!("rule 1: step {op} ends twice, at entries {before} and {at}")),
        _ => None,
    }
}

/// A step's undo starts after the undos of all steps scheduled after it completed.
fn undo_order(steps: &BTreeMap<&OpId, Step>) -> Option<String> {
    for (op, step) in steps {
        let (Some(ended), Some(undone)) = (step.ended, step.undone) else { continue };
        let later = steps.iter().find(|(_, later)| {
            later.scheduled > ended && later.undoable && later.effect && later.undone.is_some_and(|at| at > undone)
        });
        if let Some((later, _)) = later {
            return Some(format!("rule 6: step {op} is undone before step {later}, which came after it"));
        }
    }
    None
}

/// The steps that may have had an effect, have an undo, and were not undone.
pub(crate) fn left_over(records: &[Record]) -> Vec<String> {
    let mut open: BTreeMap<&OpId, (&str, bool)> = BTreeMap::new();
    for entry in records.iter().flat_map(|record| &record.entries) {
        match entry {
            Entry::StepScheduled(step) if step.undo != UndoPlan::Nothing => {
                open.insert(&step.op, (&step.activity, false));
            }
            Entry::StepEnded(step) => {
                open.entry(&step.op).and_modify(|(_, effect)| *effect = true);
            }
            Entry::StepFailed(step) => {
                open.entry(&step.op).and_modify(|(_, effect)| *effect = step.unknown);
            }
            Entry::UndoEnded(op, _) => {
                open.remove(op);
            }
            _ => {}
        }
    }
    open.into_iter()
        .filter(|(_, (_, effect))| *effect)
        .map(|(op, (activity, _))| format!("step {op} `{activity}`"))
        .collect()
}

#[cfg(test)]
mod tests {
    use saga_store::Timestamp;
    use saga_store::wire::{Payload, StepEnded, StepScheduled, UndoStep};

    use super::*;
    use crate::activity::RetryPolicy;

    fn op(number: u32) -> OpId {
        OpId::root().child(number)
    }

    fn scheduled(number: u32) -> Entry {
        let undo = UndoStep {
            activity: "undo".to_owned(),
            input: Payload::json("{}"),
            retry: RetryPolicy::UNDO.to_wire(),
            timeout: 1,
        };
        Entry::StepScheduled(StepScheduled {
            op: op(number),
            activity: "do".to_owned(),
            input: Payload::json("{}"),
            undo: UndoPlan::Known(Box::new(undo)),
            deadline: None,
            errand: None,
            at_call: None,
        })
    }

    fn ended(number: u32) -> Entry {
        Entry::StepEnded(StepEnded { op: op(number), attempt: 1, output: Payload::json("1"), undo: None })
    }

    fn broken_by(entries: Vec<Entry>) -> Option<String> {
        broken(&[Record::new(Timestamp::from_micros(1), entries)])
    }

    #[test]
    fn undos_in_reverse_break_nothing_and_in_the_order_of_the_steps_they_do() {
        let steps = || vec![scheduled(0), ended(0), scheduled(1), ended(1)];
        let undo = |first: u32, second: u32| {
            [steps(), vec![Entry::UndoEnded(op(first), 1), Entry::UndoEnded(op(second), 1)]].concat()
        };
        assert_eq!(broken_by(undo(1, 0)), None);
        assert!(broken_by(undo(0, 1)).unwrap().starts_with("rule 6: step 0 is undone before step 1"));
        assert!(broken_by(undo(1, 1)).unwrap().starts_with("rule 6: step 1 is undone twice"));
    }

    #[test]
    fn a_step_that_is_scheduled_twice_or_never_is_found() {
        assert!(broken_by(vec![scheduled(0), scheduled(0)]).unwrap().starts_with("rule 1"));
        assert!(broken_by(vec![ended(0)]).unwrap().starts_with("rule 1"));
    }
}
