//! The bank's tables, in the store's own file.
//!
//! The ledger has no key that would keep a repeated step from writing a second entry: that it
//! never does is what the framework promises, and what the check looks for.

use saga_sqlite::SqliteTx;
use saga_sqlite::rusqlite::{Result, params};

/// What each account has in the beginning.
pub(crate) const INITIAL_CENTS: i64 = 100_000;

/// Every so many accounts one is closed and takes no money, so that some transfers are undone.
const CLOSED_EVERY: u32 = 10;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS bank_accounts (
    id INTEGER PRIMARY KEY,
    initial INTEGER NOT NULL,
    cents INTEGER NOT NULL CHECK (cents >= 0),
    closed INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS bank_ledger (
    entry INTEGER PRIMARY KEY,
    transfer TEXT NOT NULL,
    leg TEXT NOT NULL,
    account INTEGER NOT NULL,
    cents INTEGER NOT NULL
) STRICT;
";

const OPEN_ACCOUNTS: &str = "
WITH RECURSIVE account (number) AS (SELECT 0 UNION ALL SELECT number + 1 FROM account WHERE number + 1 < ?1)
INSERT OR IGNORE INTO bank_accounts (id, initial, cents, closed)
    SELECT number, ?2, ?2, number % ?3 = ?3 - 1 FROM account";
const TAKE: &str = "UPDATE bank_accounts SET cents = cents + ?2 WHERE id = ?1 AND cents + ?2 >= 0";
const IS_CLOSED: &str = "SELECT closed FROM bank_accounts WHERE id = ?1";
const ENTER: &str = "INSERT INTO bank_ledger (transfer, leg, account, cents) VALUES (?1, ?2, ?3, ?4)";

/// A part of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leg {
    /// Money leaves an account.
    Debit,
    /// Money arrives.
    Credit,
    /// The debit is taken back.
    DebitUndone,
}

impl Leg {
    /// The leg as the ledger has it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Debit => "debit",
            Self::Credit => "credit",
            Self::DebitUndone => "debit undone",
        }
    }
}

/// Makes the tables and the accounts that are not there.
pub(crate) fn create(tx: &SqliteTx<'_>, accounts: u32) -> Result<()> {
    tx.execute_batch(SCHEMA)?;
    tx.execute(OPEN_ACCOUNTS, params![accounts, INITIAL_CENTS, CLOSED_EVERY]).map(drop)
}

/// Whether an account takes no money.
pub(crate) fn is_closed(tx: &SqliteTx<'_>, account: u32) -> Result<bool> {
    tx.query_row(IS_CLOSED, [account], |row| row.get(0))
}

/// Changes an account by so many cents and enters it into the ledger. False, and nothing is
/// changed, if there are not enough.
pub(crate) fn enter(tx: &SqliteTx<'_>, transfer: &str, leg: Leg, account: u32, cents: i64) -> Result<bool> {
    let changed = tx.execute(TAKE, params![account, cents])? == 1;
    if changed {
        tx.execute(ENTER, params![transfer, leg.as_str(), account, cents])?;
    }
    Ok(changed)
}
