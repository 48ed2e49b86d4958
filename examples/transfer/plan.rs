//! Which transfers there are: random ones, the same for the same seed.

/// Chooses transfers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// The same seed, the same transfers.
    pub(crate) seed: u64,
    /// Accounts are numbered from 0.
    pub(crate) accounts: u32,
}

/// A transfer to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Transfer {
    number: u32,
    /// Whose money.
    pub(crate) from: u32,
    /// Who gets it.
    pub(crate) to: u32,
    /// How much.
    pub(crate) cents: i64,
}

impl Transfer {
    /// Its name, and its run's.
    pub(crate) fn id(&self) -> String {
        format!("T-{}", self.number)
    }
}

impl Plan {
    /// The transfer of this number.
    pub(crate) fn transfer(self, number: u32) -> Transfer {
        let random = |field: u64, below: u32| {
            let word = mix(mix(self.seed ^ mix(u64::from(number))) ^ field);
            u32::try_from(word % u64::from(below)).unwrap_or(0)
        };
        let from = random(0, self.accounts);
        let to = (from + 1 + random(1, self.accounts - 1)) % self.accounts;
        Transfer { number, from, to, cents: i64::from(1 + random(2, 40_000)) }
    }
}

/// The finisher of `SplitMix64`.
fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_plans_the_same_transfers() {
        let plan = |seed| (1..=50).map(|number| Plan { seed, accounts: 10 }.transfer(number)).collect::<Vec<_>>();
        assert_eq!(plan(3), plan(3));
        assert_ne!(plan(3), plan(4));
    }

    #[test]
    fn money_goes_from_one_account_to_another() {
        for accounts in [2, 3, 100] {
            for number in 1..=1000 {
                let transfer = Plan { seed: 9, accounts }.transfer(number);
                assert_ne!(transfer.from, transfer.to);
                assert!(transfer.from < accounts && transfer.to < accounts && transfer.cents > 0);
            }
        }
    }
}
