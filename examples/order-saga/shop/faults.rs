//! Attempts that fail on purpose, to see that nothing is lost or doubled by it.

/// Which share of attempts fails. The choice depends on the seed, the step and the attempt
/// alone, so that it does not matter in which order the attempts come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Faults {
    seed: u64,
    /// Attempts whose number, of 2^64, is below this fail.
    threshold: u64,
}

/// When an attempt fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Nothing has happened yet.
    BeforeEffect,
    /// It has happened, but the caller does not learn of it.
    AfterEffect,
}

impl Faults {
    /// This share of attempts fails: 0 to 100 percent.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of 2^64 needs no more digits than a double has; the cast saturates"
    )]
    pub(crate) fn new(percent: f64, seed: u64) -> Self {
        Self { seed, threshold: (percent / 100.0 * u64::MAX as f64) as u64 }
    }

    /// When this attempt fails, if it does.
    pub(crate) fn strike(self, key: &str, attempt: u32) -> Option<Moment> {
        if self.threshold == 0 {
            return None;
        }
        let number =
            mix(key.bytes().fold(mix(self.seed), |state, byte| mix(state ^ u64::from(byte))) ^ u64::from(attempt));
        // The lowest bit says next to nothing about whether the number is below the threshold.
        let moment = if number & 1 == 0 { Moment::BeforeEffect } else { Moment::AfterEffect };
        (number <= self.threshold).then_some(moment)
    }
}

/// The finisher of `SplitMix64`: every bit of the state changes half of the bits of the result.
fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strikes(faults: Faults) -> Vec<Option<Moment>> {
        (0..10_000).map(|i| faults.strike(&format!("019b-{}/{}", i / 4, i % 4), 1 + i % 3)).collect()
    }

    fn count(strikes: &[Option<Moment>], moment: Moment) -> usize {
        strikes.iter().filter(|strike| **strike == Some(moment)).count()
    }

    #[test]
    fn the_share_that_was_asked_for_fails_half_before_and_half_after_the_effect() {
        let strikes = strikes(Faults::new(20.0, 7));
        let (before, after) = (count(&strikes, Moment::BeforeEffect), count(&strikes, Moment::AfterEffect));
        assert!((900..1100).contains(&before), "{before}");
        assert!((900..1100).contains(&after), "{after}");
    }

    #[test]
    fn none_and_all_are_exact() {
        assert!(strikes(Faults::new(0.0, 7)).iter().all(Option::is_none));
        assert!(strikes(Faults::new(100.0, 7)).iter().all(Option::is_some));
    }

    #[test]
    fn the_same_seed_chooses_the_same_attempts_and_another_seed_others() {
        assert_eq!(strikes(Faults::new(20.0, 7)), strikes(Faults::new(20.0, 7)));
        assert_ne!(strikes(Faults::new(20.0, 7)), strikes(Faults::new(20.0, 8)));
    }

    #[test]
    fn each_attempt_of_a_step_has_a_chance_of_its_own() {
        let faults = Faults::new(50.0, 7);
        let attempts: Vec<_> = (1..=64).map(|attempt| faults.strike("019b/3", attempt).is_some()).collect();
        assert!(attempts.contains(&true) && attempts.contains(&false));
    }
}
