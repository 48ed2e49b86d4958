//! The bank's tables in the store's own file.

use saga_sqlite::SqliteTx;
use saga_sqlite::rusqlite::{Connection, Result, Row, params};

use super::{Account, Books, CLOSED_EVERY, Entries, INITIAL_CENTS, Leg};

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
const ACCOUNTS: &str = "
SELECT initial, cents, coalesce((SELECT sum(cents) FROM bank_ledger WHERE account = id), 0) FROM bank_accounts";
const ENTRIES: &str = "SELECT transfer, leg, sum(cents), count(*) FROM bank_ledger GROUP BY transfer, leg";
const ENTER: &str = "INSERT INTO bank_ledger (transfer, leg, account, cents) VALUES (?1, ?2, ?3, ?4)";

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

/// Reads the books.
pub(crate) fn books(conn: &Connection) -> Result<Books> {
    let account = |row: &Row<'_>| Ok(Account { initial: row.get(0)?, cents: row.get(1)?, changed: row.get(2)? });
    let entries =
        |row: &Row<'_>| Ok(Entries { transfer: row.get(0)?, leg: row.get(1)?, cents: row.get(2)?, count: row.get(3)? });
    Ok(Books { accounts: all(conn, ACCOUNTS, account)?, entries: all(conn, ENTRIES, entries)? })
}

fn all<T>(conn: &Connection, sql: &str, read: impl FnMut(&Row<'_>) -> Result<T>) -> Result<Vec<T>> {
    conn.prepare(sql)?.query_map([], read)?.collect()
}
