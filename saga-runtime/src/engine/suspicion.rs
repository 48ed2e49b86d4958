//! Runs whose workers die: which are suspected, how long they wait, and when one is given up.
//!
//! When a worker dies all its runs were being driven, and at most a few of them killed it. Most
//! are cleared by their next record. What is still there at the second death in a row is
//! suspected, and is driven alone among the suspected. Each such try is in the journal before it
//! begins, so that only a run that was tried alone and never seen again is given up: not one that
//! only was in bad company, or waited, or lived through its first moments when the power failed.

use std::time::Duration;

use saga_store::wire::{Care, Entry, Record};

/// From so many deaths in a row on, a run is suspected.
const SUSPECTED: u32 = 2;

/// The longest wait before a suspected run is tried again.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// What to do with a run that was taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is driven as any other.
    Trusted,
    /// It is tried among the suspected.
    Suspected {
        /// How long it waits first.
        wait: Duration,
        /// Whether no other may be tried with it: it died alone before.
        alone: bool,
    },
    /// It has killed too many workers: it is dead.
    Guilty,
}

/// The verdict on a run with so many deaths in a row, the last of them so often while it was
/// tried alone. `unit` is the shortest wait.
pub(crate) fn judge(deaths: u32, died_alone: u32, max_deaths: u32, unit: Duration) -> Verdict {
    if deaths < SUSPECTED {
        return Verdict::Trusted;
    }
    let enough = max_deaths.saturating_sub(SUSPECTED).max(1);
    if deaths >= max_deaths && died_alone >= enough {
        return Verdict::Guilty;
    }
    // Those that never had their turn come before those that died in theirs. Deaths while a run only
    // waited do not count: a program that is killed again and again must not put its runs off.
    let wait = unit.saturating_mul(1 << died_alone.min(16)).min(LONGEST_WAIT);
    Verdict::Suspected { wait, alone: died_alone > 0 }
}

/// How often in a row, until now, a run was tried alone and not heard of again.
pub(crate) fn died_alone(journal: &[Record]) -> u32 {
    let tries = journal.iter().rev().take_while(
        |record| matches!(record.entries.as_slice(), [Entry::Claimed(claimed)] if claimed.care == Some(Care::Alone)),
    );
    u32::try_from(tries.count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use saga_store::Timestamp;
    use saga_store::wire::Claimed;

    use super::*;

    const UNIT: Duration = Duration::from_secs(3);

    fn suspected(seconds: u64, alone: bool) -> Verdict {
        Verdict::Suspected { wait: Duration::from_secs(seconds), alone }
    }

    #[test]
    fn one_death_is_no_reason_to_suspect_a_run() {
        assert_eq!(judge(0, 0, 5, UNIT), Verdict::Trusted);
        assert_eq!(judge(1, 0, 5, UNIT), Verdict::Trusted);
        assert_eq!(judge(2, 0, 5, UNIT), suspected(3, false));
    }

    #[test]
    fn a_run_that_dies_alone_each_time_is_given_up_after_the_most_deaths() {
        let verdicts: Vec<_> = (2..6).map(|deaths| judge(deaths, deaths - 2, 5, UNIT)).collect();
        assert_eq!(verdicts, [suspected(3, false), suspected(6, true), suspected(12, true), Verdict::Guilty]);
    }

    #[test]
    fn a_run_that_was_never_alone_is_not_given_up_however_often_its_workers_die() {
        for deaths in 2..1000 {
            assert_eq!(judge(deaths, 0, 5, UNIT), suspected(3, false), "however often it waited in vain");
            assert!(matches!(judge(deaths, 2, 5, UNIT), Verdict::Suspected { alone: true, .. }), "{deaths}");
        }
        assert_eq!(judge(1000, 50, 1001, UNIT), Verdict::Suspected { wait: LONGEST_WAIT, alone: true });
    }

    #[test]
    fn no_setting_gives_up_a_run_that_has_not_died_alone() {
        for max_deaths in 0..3 {
            assert_eq!(judge(2, 0, max_deaths, UNIT), suspected(3, false));
            assert_eq!(judge(3, 1, max_deaths, UNIT), Verdict::Guilty);
        }
    }

    #[test]
    fn only_tries_after_the_last_sign_of_life_count() {
        let record = |care| {
            let claimed = Claimed { care, ..Claimed::by("worker") };
            Record::new(Timestamp::from_micros(0), vec![Entry::Claimed(claimed)])
        };
        let (alone, beside, survived) = (record(Some(Care::Alone)), record(None), record(Some(Care::Survived)));
        assert_eq!(died_alone(&[]), 0);
        assert_eq!(died_alone(&[beside.clone(), alone.clone(), alone.clone()]), 2);
        assert_eq!(died_alone(&[alone.clone(), alone.clone(), survived, alone.clone()]), 1);
        assert_eq!(died_alone(&[alone.clone(), beside]), 0);
    }
}
