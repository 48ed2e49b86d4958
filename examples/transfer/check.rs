//! The invariant: no cent is lost or made, and each transfer has its entries once.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use saga_store::RunState;
use serde::Serialize;

use crate::bank::{self, Account, Books, Leg};

/// What the books say.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Balance {
    /// Transfers that were made.
    pub(crate) completed: u64,
    /// Transfers that failed and left nothing behind.
    pub(crate) failed: u64,
    /// Transfers that have not ended.
    pub(crate) open: u64,
    /// What all accounts have had in the beginning.
    pub(crate) initial_cents: i64,
    /// What all accounts and the transfers on their way have.
    pub(crate) cents: i64,
    /// Accounts that do not have what their entries say.
    pub(crate) wrong_accounts: u64,
    /// Transfers whose entries are not exactly those that their end calls for.
    pub(crate) wrong_transfers: u64,
}

/// The entries of one transfer.
#[derive(Debug, Default, Clone, Copy)]
struct Entries {
    debits: i64,
    credits: i64,
    undone: i64,
    cents: i64,
}

impl Balance {
    /// Holds the books against the runs.
    pub(crate) fn of(books: &Books, runs: &HashMap<String, RunState>) -> Self {
        let mut balance = Self::default();
        for &Account { initial, cents, changed } in &books.accounts {
            balance.initial_cents += initial;
            balance.cents += cents;
            balance.wrong_accounts += u64::from(initial + changed != cents);
        }
        let entries = entries(books);
        for (transfer, entries) in &entries {
            let state = runs.get(*transfer).copied();
            if state.is_some_and(|state| !state.is_final()) {
                // Its debit has left one account and not yet arrived at another.
                balance.cents -= entries.cents;
            }
            balance.wrong_transfers += u64::from(!entries.are_right(state));
        }
        for (transfer, state) in runs {
            match state {
                RunState::Completed => balance.completed += 1,
                state if state.is_final() => balance.failed += 1,
                _ => balance.open += 1,
            }
            let no_entries = !entries.contains_key(transfer.as_str());
            balance.wrong_transfers += u64::from(no_entries && *state == RunState::Completed);
        }
        balance
    }

    /// Whether all is as it must be.
    pub(crate) fn holds(&self) -> bool {
        self.initial_cents == self.cents && self.wrong_accounts == 0 && self.wrong_transfers == 0
    }
}

impl Entries {
    /// Whether a transfer that stands so has these entries.
    fn are_right(self, state: Option<RunState>) -> bool {
        let Self { debits, credits, undone, cents } = self;
        let is_open = state.is_some_and(|state| !state.is_final());
        match (debits, credits, undone) {
            (1, 1, 0) => cents == 0 && (state == Some(RunState::Completed) || is_open),
            (1, 0, 1) => cents == 0 && (is_open || matches!(state, Some(RunState::Failed | RunState::Cancelled))),
            (1, 0, 0) => is_open,
            _ => false,
        }
    }
}

fn entries(books: &Books) -> BTreeMap<&str, Entries> {
    let mut found: BTreeMap<&str, Entries> = BTreeMap::new();
    for bank::Entries { transfer, leg, cents, count } in &books.entries {
        let entries = found.entry(transfer).or_default();
        entries.cents += cents;
        if leg == Leg::Debit.as_str() {
            entries.debits += count;
        } else if leg == Leg::Credit.as_str() {
            entries.credits += count;
        } else {
            entries.undone += count;
        }
    }
    found
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "transfers   {} completed, {} failed, {} open", self.completed, self.failed, self.open)?;
        writeln!(f, "cents       {} in the beginning, {} now", self.initial_cents, self.cents)?;
        writeln!(f, "accounts    {} not as the ledger says", self.wrong_accounts)?;
        writeln!(f, "ledger      {} transfers with entries too few or too many", self.wrong_transfers)?;
        writeln!(f, "{}", if self.holds() { "the invariant holds" } else { "THE INVARIANT IS VIOLATED" })
    }
}

#[cfg(test)]
mod tests {
    use saga_sqlite::SqliteDb;

    use super::*;
    use crate::bank::{self, sqlite};

    /// Three accounts; one transfer completed, one failed and undone, one on its way.
    async fn after(damage: &'static str, run: (&str, RunState)) -> Balance {
        let folder = tempfile::tempdir().unwrap();
        let db = SqliteDb::open(folder.path().join("bank.db")).await.unwrap();
        db.setup(move |tx| {
            sqlite::create(tx, 3)?;
            sqlite::enter(tx, "T-1", Leg::Debit, 0, -500)?;
            sqlite::enter(tx, "T-1", Leg::Credit, 1, 500)?;
            sqlite::enter(tx, "T-2", Leg::Debit, 0, -70)?;
            sqlite::enter(tx, "T-2", Leg::DebitUndone, 0, 70)?;
            sqlite::enter(tx, "T-3", Leg::Debit, 2, -9)?;
            tx.execute_batch(damage)
        })
        .await
        .unwrap();
        let mut runs = HashMap::from([
            ("T-1".to_owned(), RunState::Completed),
            ("T-2".to_owned(), RunState::Failed),
            ("T-3".to_owned(), RunState::Running),
            ("T-4".to_owned(), RunState::Failed),
        ]);
        runs.insert(run.0.to_owned(), run.1);
        Balance::of(&db.read(sqlite::books).await.unwrap(), &runs)
    }

    const NO_CHANGE: (&str, RunState) = ("T-1", RunState::Completed);

    #[tokio::test]
    async fn sound_books_hold_also_while_money_is_on_its_way() {
        let balance = after("", NO_CHANGE).await;
        assert!(balance.holds(), "{balance}");
        assert_eq!((balance.completed, balance.failed, balance.open), (1, 2, 1));
        assert_eq!(balance.cents, 3 * bank::INITIAL_CENTS);
    }

    #[tokio::test]
    async fn an_entry_that_was_made_twice_is_found() {
        let twice = "INSERT INTO bank_ledger (transfer, leg, account, cents) VALUES ('T-1', 'credit', 1, 500);
            UPDATE bank_accounts SET cents = cents + 500 WHERE id = 1";
        let balance = after(twice, NO_CHANGE).await;
        assert_eq!(balance.wrong_transfers, 1);
        assert_eq!(balance.cents, balance.initial_cents + 500);
        assert!(!balance.holds());
    }

    #[tokio::test]
    async fn an_entry_that_was_lost_is_found() {
        let balance = after("DELETE FROM bank_ledger WHERE transfer = 'T-1' AND leg = 'credit'", NO_CHANGE).await;
        assert_eq!((balance.wrong_transfers, balance.wrong_accounts), (1, 1));
        let balance = after("DELETE FROM bank_ledger WHERE transfer = 'T-2'", NO_CHANGE).await;
        assert!(balance.holds(), "the debit and its undo cancel each other out");
    }

    #[tokio::test]
    async fn a_completed_transfer_without_entries_is_found() {
        assert_eq!(after("", ("T-9", RunState::Completed)).await.wrong_transfers, 1);
    }

    #[tokio::test]
    async fn a_failed_transfer_whose_debit_was_not_undone_is_found() {
        assert_eq!(after("", ("T-3", RunState::Failed)).await.wrong_transfers, 1);
        assert_eq!(after("", ("T-1", RunState::Failed)).await.wrong_transfers, 1);
    }

    #[tokio::test]
    async fn entries_of_no_run_are_found() {
        let stray = "INSERT INTO bank_ledger (transfer, leg, account, cents) VALUES ('T-77', 'debit', 0, 0)";
        assert_eq!(after(stray, NO_CHANGE).await.wrong_transfers, 1);
    }

    #[tokio::test]
    async fn money_that_was_changed_beside_the_ledger_is_found() {
        let balance = after("UPDATE bank_accounts SET cents = cents - 1 WHERE id = 2", NO_CHANGE).await;
        assert_eq!(balance.wrong_accounts, 1);
        assert!(!balance.holds());
    }
}
