//! The bank's tables in a schema of the store's own database.

use saga_postgres::tokio_postgres::{Error, Row};
use saga_postgres::{PostgresStore, PostgresTx};

use super::{Account, Books, CLOSED_EVERY, Entries, INITIAL_CENTS, Leg};

/// Programs that begin at once make the tables one after the other.
const ALONE: &str = "SELECT pg_advisory_xact_lock(hashtext('bank'))";
const SCHEMA: &str = "
CREATE SCHEMA IF NOT EXISTS bank;
CREATE TABLE IF NOT EXISTS bank.accounts (
    id bigint PRIMARY KEY,
    initial bigint NOT NULL,
    cents bigint NOT NULL CHECK (cents >= 0),
    closed boolean NOT NULL
);
CREATE TABLE IF NOT EXISTS bank.ledger (
    entry bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    transfer text NOT NULL,
    leg text NOT NULL,
    account bigint NOT NULL,
    cents bigint NOT NULL
);
";
const OPEN_ACCOUNTS: &str = "
INSERT INTO bank.accounts (id, initial, cents, closed)
    SELECT number, $2::bigint, $2::bigint, number % $3::bigint = $3::bigint - 1
    FROM generate_series(0, $1::bigint - 1) number
    ON CONFLICT DO NOTHING";
const TAKE: &str = "UPDATE bank.accounts SET cents = cents + $2 WHERE id = $1 AND cents + $2 >= 0";
const IS_CLOSED: &str = "SELECT closed FROM bank.accounts WHERE id = $1";
const ENTER: &str = "INSERT INTO bank.ledger (transfer, leg, account, cents) VALUES ($1, $2, $3, $4)";
const ACCOUNTS: &str = "
SELECT a.initial, a.cents, coalesce(sum(l.cents), 0)::bigint
    FROM bank.accounts a LEFT JOIN bank.ledger l ON l.account = a.id
    GROUP BY a.id";
const ENTRIES: &str = "SELECT transfer, leg, sum(cents)::bigint, count(*) FROM bank.ledger GROUP BY transfer, leg";

/// Makes the tables and the accounts that are not there.
pub(super) async fn create(store: &PostgresStore, accounts: u32) -> anyhow::Result<()> {
    let tx = store.begin().await?;
    tx.query_one(ALONE, &[]).await?;
    tx.batch_execute(SCHEMA).await?;
    tx.execute(OPEN_ACCOUNTS, &[&i64::from(accounts), &INITIAL_CENTS, &i64::from(CLOSED_EVERY)]).await?;
    Ok(tx.commit().await?)
}

/// Whether an account takes no money.
pub(crate) async fn is_closed(tx: &PostgresTx<'_>, account: u32) -> Result<bool, Error> {
    tx.query_one(IS_CLOSED, &[&i64::from(account)]).await?.try_get(0)
}

/// Changes an account by so many cents and enters it into the ledger. False, and nothing is
/// changed, if there are not enough.
pub(crate) async fn enter(
    tx: &PostgresTx<'_>,
    transfer: &str,
    leg: Leg,
    account: u32,
    cents: i64,
) -> Result<bool, Error> {
    let account = i64::from(account);
    let changed = tx.execute(TAKE, &[&account, &cents]).await? == 1;
    if changed {
        tx.execute(ENTER, &[&transfer, &leg.as_str(), &account, &cents]).await?;
    }
    Ok(changed)
}

/// Reads the books.
pub(super) async fn books(store: &PostgresStore) -> anyhow::Result<Books> {
    let tx = store.begin().await?;
    let account =
        |row: &Row| Ok(Account { initial: row.try_get(0)?, cents: row.try_get(1)?, changed: row.try_get(2)? });
    let entries = |row: &Row| {
        let (transfer, leg) = (row.try_get(0)?, row.try_get(1)?);
        Ok(Entries { transfer, leg, cents: row.try_get(2)?, count: row.try_get(3)? })
    };
    let accounts = tx.query(ACCOUNTS, &[]).await?.iter().map(account).collect::<Result<_, Error>>()?;
    let entries = tx.query(ENTRIES, &[]).await?.iter().map(entries).collect::<Result<_, Error>>()?;
    tx.roll_back().await;
    Ok(Books { accounts, entries })
}
