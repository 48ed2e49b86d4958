//! Each thing that a workflow can say, with all that may befall it in a random order: attempts that
//! end in any way, messages, timers, cancels, and the loss of the worker. A failure prints the moves.
//! `PROPTEST_CASES` says how many runs are played.

mod judge;
mod play;
mod table;

use proptest::prelude::*;
use saga_store::wire::{Conclusion, Record};

use play::{Play, replay, start};
use table::{Case, TABLE};

/// So many runs are played if nobody says how many.
const CASES: u32 = 96;

fn config() -> ProptestConfig {
    let said = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_some() { said } else { ProptestConfig { cases: CASES, ..said } }
}

/// What a workflow of the table may come to.
fn check_end(case: &Case, play: &Play<'_>, wild: bool) -> Result<(), TestCaseError> {
    let conclusion = play.conclusion();
    let allowed = match conclusion {
        Conclusion::Completed(_) => !case.continues,
        Conclusion::Continued { .. } => case.continues,
        Conclusion::Failed { .. } => wild,
        Conclusion::Cancelled(_) => play.was_cancelled(),
        _ => false,
    };
    prop_assert!(allowed, "it ends as {conclusion:?}\n{}", play.told());
    if let Err(why) = play.judge.ends(conclusion) {
        return Err(TestCaseError::fail(format!("{why}\n{}", play.told())));
    }
    prop_assert!(!play.has_open_children(), "a child goes on\n{}", play.told());
    Ok(())
}

/// What the journal says that was decided, from each of its prefixes.
fn check_prefixes(case: &Case, records: &[Record]) -> Result<(), TestCaseError> {
    for cut in 1..records.len() {
        let kept = &records[..cut];
        let mut machine = replay(case, kept);
        let decides = machine.needs_commit() && !machine.is_undoing();
        if decides {
            // Only what the next record of the journal says as well.
            let turn = machine.take_turn(|| records[cut].at());
            let said = format!("{:?}", records[cut].entries);
            for entry in &turn.entries {
                prop_assert!(
                    said.contains(&format!("{entry:?}")),
                    "cut after {cut}: decides {entry:?}, not {said}\n{records:#?}"
                );
            }
        }
        let again = Play::from(case, kept.to_vec(), &[]).played();
        check_end(case, &again, true)?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whatever_comes_when_a_run_ends_as_its_workflow_allows_and_undoes_what_it_did(
        number in 0..TABLE.len(),
        choices in prop::collection::vec(any::<u8>(), 0..120),
    ) {
        let case = &TABLE[number];
        let play = Play::from(case, vec![start(case)], &choices).played();
        check_end(case, &play, true)?;
        check_prefixes(case, &play.records)?;
    }
}

#[test]
fn where_nothing_goes_wrong_each_workflow_completes() {
    for case in &TABLE {
        let play = Play::from(case, vec![start(case)], &[]).played();
        check_end(case, &play, false).unwrap();
        check_prefixes(case, &play.records).unwrap();
    }
}
