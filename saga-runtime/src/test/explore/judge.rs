//! Whether a case came to what it may come to.

use saga_store::wire::{Conclusion, Entry};

use super::case::{Case, Seen};
use super::fault::Fault;
use crate::history::describe;
use crate::test::rules;

/// What is wrong with a case, if anything is.
pub(super) fn judge(base: &Seen, case: &Case, seen: &Seen) -> Result<(), String> {
    if let Some(at) = seen.fired.iter().position(|fired| !fired) {
        return Err(format!("\"{}\" never came: the run went another way before", case.faults[at]));
    }
    if let Some(broken) = rules::broken(&seen.history.records) {
        return Err(format!("its journal breaks {broken}"));
    }
    if let Some(mixed) = seen.mixed.first() {
        return Err(format!("one key stands for two things: {mixed}"));
    }
    let Some(conclusion) = &seen.conclusion else { return Err("the run never ends".to_owned()) };
    let strict = case.faults.iter().all(Fault::changes_nothing);
    if Some(conclusion) == base.conclusion.as_ref() {
        return if strict && case.order.is_none() { same_effects(base, seen) } else { Ok(()) };
    }
    let ended = words(Some(conclusion));
    let undisturbed = words(base.conclusion.as_ref());
    if strict && case.order.is_none() {
        return Err(format!("the outcome changed: undisturbed it {undisturbed}, now it {ended}"));
    }
    match conclusion {
        Conclusion::Failed { .. } | Conclusion::Cancelled(_) => match rules::left_over(&seen.history.records).first() {
            Some(left) => Err(format!("it {ended}, and {left} is not undone")),
            None => Ok(()),
        },
        _ => Err(format!("undisturbed it {undisturbed}, now it {ended}, and is not undone")),
    }
}

fn words(conclusion: Option<&Conclusion>) -> String {
    match conclusion {
        Some(conclusion) => describe(&Entry::Concluded(conclusion.clone())),
        None => "never ends".to_owned(),
    }
}

/// The side effects are those of the undisturbed run: the same keys, for the same things.
fn same_effects(base: &Seen, seen: &Seen) -> Result<(), String> {
    for (key, (activity, input)) in &base.effects {
        match seen.effects.get(key) {
            None => return Err(format!("`{activity}` with {input} has no effect any more (key {key})")),
            Some((other, with)) if (other, with) != (activity, input) => {
                return Err(format!(
                    "key {key} stood for `{activity}` with {input}, and now for `{other}` with {with}"
                ));
            }
            Some(_) => {}
        }
    }
    if let Some((key, (activity, input))) = seen.effects.iter().find(|(key, _)| !base.effects.contains_key(*key)) {
        return Err(format!("`{activity}` with {input} has an effect that the undisturbed run has not (key {key})"));
    }
    match base.observed.iter().zip(&seen.observed).find(|(before, now)| before != now) {
        Some((before, now)) => Err(format!("what the test observes changed: undisturbed {before}, now {now}")),
        None => Ok(()),
    }
}
