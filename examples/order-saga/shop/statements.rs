//! The shop's tables, and its verbs as statements within a transaction.
//!
//! Each verb first looks whether its key is known. The tables' primary keys hold the rule that
//! one key has one effect, should the code ever miss it.

use saga_sqlite::SqliteTx;
use saga_sqlite::rusqlite::{Connection, OptionalExtension, Result, Row, params};

use super::{
    Attempt, Books, Charge, Holding, INITIAL_STOCK, InventoryError, Mail, MailKind, NewMail, Payment, PaymentError,
    PaymentId, Reservation, ReservationId, StockLine,
};
use crate::orders::{OrderId, SKUS, Sku};

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS stock (
    sku TEXT PRIMARY KEY,
    initial INTEGER NOT NULL,
    available INTEGER NOT NULL CHECK (available >= 0)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reservations (
    key TEXT PRIMARY KEY,
    order_id TEXT NOT NULL,
    sku TEXT,                   -- NULL where a release came first
    quantity INTEGER NOT NULL,
    released_by TEXT            -- the key of the release
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS charges (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    order_id TEXT NOT NULL,
    cents INTEGER NOT NULL,
    refunded_by TEXT            -- the key of the refund
) STRICT;
CREATE INDEX IF NOT EXISTS charges_by_order ON charges (order_id);
CREATE TABLE IF NOT EXISTS refunds (
    order_id TEXT PRIMARY KEY,  -- no charge for this order is taken any more
    key TEXT NOT NULL,
    cents INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox (
    key TEXT PRIMARY KEY,
    order_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    recipient TEXT NOT NULL,
    text TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS attempts (
    seq INTEGER PRIMARY KEY,    -- in the order in which they were logged
    key TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    run TEXT NOT NULL,
    activity TEXT NOT NULL,
    started_at INTEGER NOT NULL -- microseconds since 1970
) STRICT;
";

const FILL_STOCK: &str = "
WITH RECURSIVE article (number) AS (SELECT 0 UNION ALL SELECT number + 1 FROM article WHERE number + 1 < ?1)
INSERT OR IGNORE INTO stock (sku, initial, available) SELECT 'CD-' || number, ?2, ?2 FROM article";

const LOG: &str = "INSERT INTO attempts (key, attempt, run, activity, started_at) VALUES (?1, ?2, ?3, ?4, ?5)";
const AVAILABLE: &str = "SELECT available FROM stock WHERE sku = ?1";
const RESERVATION: &str = "SELECT released_by IS NOT NULL FROM reservations WHERE key = ?1";
const TAKE: &str = "UPDATE stock SET available = available - ?2 WHERE sku = ?1 AND available >= ?2";
const GIVE_BACK: &str = "UPDATE stock SET available = available + ?2 WHERE sku = ?1";
const RESERVE: &str = "INSERT INTO reservations (key, order_id, sku, quantity) VALUES (?1, ?2, ?3, ?4)";
const RELEASE: &str =
    "UPDATE reservations SET released_by = ?2 WHERE key = ?1 AND released_by IS NULL RETURNING sku, quantity";
const REFUSE_RESERVATION: &str =
    "INSERT OR IGNORE INTO reservations (key, order_id, quantity, released_by) VALUES (?1, ?2, 0, ?3)";
const CHARGED: &str = "SELECT id FROM charges WHERE key = ?1";
const REFUNDED: &str = "SELECT 1 FROM refunds WHERE order_id = ?1";
const CHARGE: &str = "INSERT INTO charges (key, order_id, cents) VALUES (?1, ?2, ?3)";
const RECORD_REFUND: &str = "INSERT OR IGNORE INTO refunds (order_id, key, cents)
    SELECT ?1, ?2, coalesce(sum(cents), 0) FROM charges WHERE order_id = ?1";
const REFUND: &str = "UPDATE charges SET refunded_by = ?2 WHERE order_id = ?1 AND refunded_by IS NULL";
const SEND: &str = "INSERT OR IGNORE INTO outbox (key, order_id, kind, recipient, text) VALUES (?1, ?2, ?3, ?4, ?5)";
const REPEATED_ATTEMPTS: &str = "SELECT count(*) - count(DISTINCT key) FROM attempts";

pub(super) fn create(tx: &SqliteTx<'_>) -> Result<()> {
    tx.execute_batch(SCHEMA)?;
    tx.execute(FILL_STOCK, params![SKUS, INITIAL_STOCK])?;
    Ok(())
}

pub(super) fn log(tx: &SqliteTx<'_>, attempt: &Attempt) -> Result<()> {
    let Attempt { key, number, run, activity, started_at } = attempt;
    tx.execute(LOG, params![key, number, run, activity, started_at]).map(drop)
}

pub(super) fn available(tx: &SqliteTx<'_>, sku: &Sku) -> Result<i64> {
    Ok(tx.query_row(AVAILABLE, [&sku.0], |row| row.get(0)).optional()?.unwrap_or(0))
}

pub(super) fn reserve(
    tx: &SqliteTx<'_>,
    key: &str,
    order: &OrderId,
    sku: &Sku,
    quantity: u32,
) -> Result<Result<Reservation, InventoryError>> {
    let known: Option<bool> = tx.query_row(RESERVATION, [key], |row| row.get(0)).optional()?;
    match known {
        Some(true) => return Ok(Err(InventoryError::Released)),
        Some(false) => {}
        None if tx.execute(TAKE, params![sku.0, quantity])? == 0 => return Ok(Err(InventoryError::OutOfStock)),
        None => drop(tx.execute(RESERVE, params![key, order.0, sku.0, quantity])?),
    }
    Ok(Ok(Reservation { id: ReservationId(key.to_owned()) }))
}

pub(super) fn release(tx: &SqliteTx<'_>, key: &str, order: &str, id: &ReservationId) -> Result<()> {
    let released: Option<(Option<String>, i64)> =
        tx.query_row(RELEASE, [&id.0, key], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    match released {
        Some((sku, quantity)) => tx.execute(GIVE_BACK, params![sku, quantity])?,
        None => tx.execute(REFUSE_RESERVATION, [&id.0, order, key])?,
    };
    Ok(())
}

pub(super) fn charge(
    tx: &SqliteTx<'_>,
    key: &str,
    order: &OrderId,
    cents: u64,
    decline_over: u64,
) -> Result<Result<Payment, PaymentError>> {
    if tx.query_row(REFUNDED, [&order.0], |_| Ok(())).optional()?.is_some() {
        return Ok(Err(PaymentError::Refunded));
    }
    let id = match tx.query_row(CHARGED, [key], |row| row.get(0)).optional()? {
        Some(id) => id,
        None => match i64::try_from(cents) {
            Ok(amount) if cents <= decline_over => {
                tx.execute(CHARGE, params![key, order.0, amount])?;
                tx.last_insert_rowid()
            }
            _ => return Ok(Err(PaymentError::Declined)),
        },
    };
    Ok(Ok(Payment { id: PaymentId(format!("PAY-{id}")) }))
}

pub(super) fn refund(tx: &SqliteTx<'_>, key: &str, order: &OrderId) -> Result<()> {
    tx.execute(RECORD_REFUND, [&order.0, key])?;
    tx.execute(REFUND, [&order.0, key])?;
    Ok(())
}

pub(super) fn send(tx: &SqliteTx<'_>, key: &str, mail: &NewMail) -> Result<()> {
    tx.execute(SEND, params![key, mail.order.0, mail.kind.as_str(), mail.to, mail.text]).map(drop)
}

pub(super) fn repeated_attempts(conn: &Connection) -> Result<u64> {
    let count: i64 = conn.query_row(REPEATED_ATTEMPTS, [], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

pub(super) fn books(conn: &Connection) -> Result<Books> {
    Ok(Books {
        stock: all(conn, "SELECT sku, initial, available FROM stock", |row| {
            Ok(StockLine { sku: row.get(0)?, initial: row.get(1)?, available: row.get(2)? })
        })?,
        holdings: all(
            conn,
            "SELECT order_id, sku, quantity, released_by IS NOT NULL FROM reservations WHERE sku IS NOT NULL",
            |row| Ok(Holding { order: row.get(0)?, sku: row.get(1)?, quantity: row.get(2)?, released: row.get(3)? }),
        )?,
        charges: all(conn, "SELECT order_id, cents, refunded_by IS NOT NULL FROM charges", |row| {
            Ok(Charge { order: row.get(0)?, cents: row.get(1)?, refunded: row.get(2)? })
        })?,
        mails: all(conn, "SELECT order_id, kind FROM outbox", |row| {
            Ok(Mail { order: row.get(0)?, kind: MailKind::of(row.get_ref(1)?.as_str()?) })
        })?,
    })
}

fn all<T>(conn: &Connection, sql: &str, read: impl FnMut(&Row<'_>) -> Result<T>) -> Result<Vec<T>> {
    conn.prepare(sql)?.query_map([], read)?.collect()
}
