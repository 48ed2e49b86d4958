//! Whether a case came to what it may come to.

use std::sync::Arc;

use saga_store::wire::{Conclusion, Entry};

use super::case::{Case, Seen};
use super::fault::Fault;
use crate::history::{History, describe};
use crate::test::rules;

type Accept = Arc<dyn Fn(&Conclusion) -> bool + Send + Sync>;

/// What the test asks beyond what always holds.
#[derive(Clone, Default)]
pub(super) struct Demands {
    /// Outcomes that are right as well, after a failure, a cancel or in another order.
    pub(super) also: Vec<Accept>,
    /// Whether a run that is undone leaves what the test observes as it was before.
    pub(super) restores: bool,
}

/// What is wrong with a case, if anything is. `reference` is the same case without what is asked
/// about: the undisturbed run, or one with the disturbances before.
pub(super) fn judge(demands: &Demands, reference: &Seen, seen: &Seen) -> Result<(), String> {
    let case = &seen.case;
    happened(reference, seen)?;
    for history in &seen.histories {
        if let Some(broken) = rules::broken(&history.records) {
            return Err(format!("{} breaks {broken}", journal_of(seen, history)));
        }
    }
    if let Some(mixed) = seen.mixed.first() {
        return Err(format!("one key stands for two things: {mixed}"));
    }
    let Some(conclusion) = &seen.conclusion else { return Err("the run never ends".to_owned()) };
    let (ended, undisturbed) = (words(Some(conclusion)), words(reference.conclusion.as_ref()));
    let strict = case.order.is_none() && added(reference, case).iter().all(Fault::changes_nothing);
    let same = Some(conclusion) == reference.conclusion.as_ref();
    if strict {
        return if same {
            undone(demands, seen, conclusion, &ended)?;
            same_effects(reference, seen)
        } else {
            Err(format!("the outcome changed: undisturbed it {undisturbed}, now it {ended}"))
        };
    }
    let also = || demands.also.iter().any(|also| also(conclusion));
    match conclusion {
        Conclusion::Failed { .. } | Conclusion::Cancelled(_) => undone(demands, seen, conclusion, &ended),
        _ if same || also() => Ok(()),
        _ => Err(format!("undisturbed it {undisturbed}, now it {ended}, and is not undone")),
    }
}

/// What is done in a case beyond what is done in another.
fn added<'a>(reference: &Seen, case: &'a Case) -> &'a [Fault] {
    let before = reference.case.faults.len().min(case.faults.len());
    &case.faults[before..]
}

/// Every disturbance has happened, and where it was to happen.
fn happened(reference: &Seen, seen: &Seen) -> Result<(), String> {
    for (at, (fault, fired)) in seen.case.faults.iter().zip(&seen.fired).enumerate() {
        let Some(fired) = fired else {
            return Err(format!("\"{fault}\" never came: the run went another way before"));
        };
        // Where the next task is drawn, and after a crash, places have other numbers.
        let expected = match reference.fired.get(at) {
            Some(before) => before.as_deref(),
            None if at == reference.fired.len() && !seen.case.drawn => reference.places.of(fault),
            None => continue,
        };
        if expected != Some(fired.as_str()) {
            let expected = expected.unwrap_or("nowhere");
            return Err(format!(
                "\"{fault}\" came in another place: it was to be at \"{expected}\", and was at \"{fired}\""
            ));
        }
    }
    Ok(())
}

fn journal_of(seen: &Seen, history: &History) -> String {
    let own = seen.histories.first().is_some_and(|first| first.run == history.run);
    if own { "its journal".to_owned() } else { format!("the journal of {}", history.run) }
}

/// A run that failed or was cancelled is undone, and so are its children that were.
fn undone(demands: &Demands, seen: &Seen, conclusion: &Conclusion, ended: &str) -> Result<(), String> {
    for history in &seen.histories {
        let entries = history.records.iter().flat_map(|record| &record.entries);
        let is_undone =
            |entry: &Entry| matches!(entry, Entry::Concluded(Conclusion::Failed { .. } | Conclusion::Cancelled(_)));
        if entries.last().is_some_and(is_undone)
            && let Some(left) = rules::left_over(&history.records).first()
        {
            let whose =
                if journal_of(seen, history) == "its journal" { String::new() } else { format!(" of {}", history.run) };
            return Err(format!("it {ended}, and {left}{whose} is not undone"));
        }
    }
    let is_undone = matches!(conclusion, Conclusion::Failed { .. } | Conclusion::Cancelled(_));
    let [before, after] = &seen.observed;
    match before.iter().zip(after).find(|(before, after)| before != after) {
        Some((before, after)) if demands.restores && is_undone => {
            Err(format!("it {ended} and is undone, and the test observed {before} before it, and {after} now"))
        }
        _ => Ok(()),
    }
}

fn words(conclusion: Option<&Conclusion>) -> String {
    match conclusion {
        Some(conclusion) => describe(&Entry::Concluded(conclusion.clone())),
        None => "never ends".to_owned(),
    }
}

/// The side effects are those of the undisturbed run: the same keys, for the same things.
fn same_effects(reference: &Seen, seen: &Seen) -> Result<(), String> {
    for (key, (activity, input)) in &reference.effects {
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
    if let Some((key, (activity, input))) = seen.effects.iter().find(|(key, _)| !reference.effects.contains_key(*key)) {
        return Err(format!("`{activity}` with {input} has an effect that the undisturbed run has not (key {key})"));
    }
    let ([_, before], [_, now]) = (&reference.observed, &seen.observed);
    match before.iter().zip(now).find(|(before, now)| before != now) {
        Some((before, now)) => Err(format!("what the test observes changed: undisturbed {before}, now {now}")),
        None => Ok(()),
    }
}
