//! The shop in a schema of a `PostgreSQL` database: each attempt is one statement.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime};
use saga_postgres::PostgresStore;
use saga_store::{ErrorKind, StoreError};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, IsolationLevel, NoTls, Row};

use super::sessions::SharedSessions;
use super::{
    Attempt, Books, Charge, Holding, INITIAL_STOCK, InventoryError, Mail, MailError, MailKind, NewMail, Outage,
    Payment, PaymentError, PaymentId, Reply, Reservation, ReservationId, Rules, Shop, StockLine,
};
use crate::orders::{OrderId, SKUS, Sku};

/// While the server takes no statements, so much time passes between two tries. An attempt ends
/// by its timeout, not by this.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Attempts share so many sessions.
const SHARED: usize = 4;

/// Sessions for what needs one of its own.
const OWN: usize = 4;

const TABLES: &str = include_str!("postgres.sql");
const FILL_STOCK: &str = "INSERT INTO stock (sku, initial, available) SELECT 'CD-' || number, $2::bigint, $2::bigint FROM generate_series(0, $1::bigint - 1) number";
const LOCK_SCHEMA: &str = "SELECT pg_advisory_xact_lock(hashtext('order_saga_shop'), hashtext($1))";
const EXISTS: &str = "SELECT to_regclass('attempts') IS NOT NULL";

/// A statement that logs the attempt, and this.
macro_rules! logged {
    ($effect:literal) => {
        concat!(
            "WITH logged AS (INSERT INTO attempts (key, attempt, run, activity, started_at) VALUES ($1, $2, $3, $4, $5))",
            $effect
        )
    };
}

const LOG: &str = logged!(" SELECT");
const CHECK: &str = logged!(" SELECT (SELECT available FROM stock WHERE sku = $6) AS answer");
const RESERVE: &str = logged!(" SELECT reserve($1, $6, $7, $8) AS answer");
const RELEASE: &str = logged!(" SELECT release($1, $3, $6)");
const CHARGE: &str = logged!(" SELECT refusal, payment FROM charge($1, $6, $7, $8)");
const REFUND: &str = logged!(" SELECT refund($1, $6)");
const SEND: &str = logged!(
    ", sent AS (
        INSERT INTO outbox (key, order_id, kind, recipient, text) VALUES ($1, $6, $7, $8, $9) ON CONFLICT DO NOTHING
    ) SELECT"
);
const REPEATED_ATTEMPTS: &str = "SELECT count(*) - count(DISTINCT key) FROM attempts";

/// The shop in a schema of a database.
#[derive(Clone)]
pub(crate) struct PostgresShop {
    sessions: Pool,
    shared: Arc<SharedSessions<SHARED>>,
    schema: String,
    rules: Rules,
}

type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

impl PostgresShop {
    /// The schema, unless a test has another.
    pub(crate) const SCHEMA: &'static str = "order_saga_shop";

    /// The shop at this address, for [`PostgresShop::create`] to make if it is not there.
    pub(crate) fn connect(url: &str, schema: &str, rules: Rules) -> Result<Self, StoreError> {
        let config = PostgresStore::config(url)?;
        let manager = Manager::from_config(config, NoTls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
        let settings = format!(
            "SET search_path = \"{schema}\"; SET client_min_messages = warning; SET statement_timeout = '30s';
             SET default_transaction_isolation = 'read committed'"
        );
        let set_up = Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, _| {
            let settings = settings.clone();
            Box::pin(async move { client.batch_execute(&settings).await.map_err(HookError::Backend) })
        });
        let sessions = Pool::builder(manager)
            .max_size(SHARED + OWN)
            .runtime(Runtime::Tokio1)
            .create_timeout(Some(Duration::from_secs(10)))
            .post_create(set_up)
            .build()
            .map_err(|error| StoreError::new(ErrorKind::Bug, format!("no pool of sessions: {error}")))?;
        Ok(Self { sessions, shared: Arc::default(), schema: schema.to_owned(), rules })
    }

    /// Makes the tables and the stock if they are not there, also when many do it at once.
    pub(crate) async fn create(&self) -> Result<(), Outage> {
        let mut session = self.session().await?;
        let transaction = session.transaction().await.map_err(outage)?;
        transaction.query(LOCK_SCHEMA, &[&self.schema]).await.map_err(outage)?;
        if !exists(&transaction.query_one(EXISTS, &[]).await.map_err(outage)?) {
            let tables = format!("CREATE SCHEMA IF NOT EXISTS \"{}\"; {TABLES}", self.schema);
            transaction.batch_execute(&tables).await.map_err(outage)?;
            transaction.execute(FILL_STOCK, &[&i64::from(SKUS), &INITIAL_STOCK]).await.map_err(outage)?;
        }
        transaction.commit().await.map_err(outage)
    }

    /// Whether the tables are there.
    pub(crate) async fn exists(&self) -> Result<bool, Outage> {
        let session = self.session().await?;
        session.query_one(EXISTS, &[]).await.map(|row| exists(&row)).map_err(outage)
    }

    async fn session(&self) -> Result<Object, Outage> {
        self.sessions.get().await.map_err(|error| Outage::new(said(&error)))
    }

    /// Logs the attempt and performs its effect: one statement, which has the attempt's values
    /// first. What surely did not happen is tried again; what may have happened is an outage.
    async fn write(&self, sql: &str, attempt: Attempt, more: Values<'_>) -> Result<Row, Outage> {
        let Attempt { key, number, run, activity, started_at } = attempt;
        let number = i64::from(number);
        let mut values: Vec<&(dyn ToSql + Sync)> = vec![&key, &number, &run, &activity, &started_at];
        values.extend_from_slice(more);
        let mut waits = false;
        loop {
            let refused = match self.try_write(sql, &values).await {
                Ok(row) => return Ok(row),
                Err(error) => error,
            };
            match what_to_do(&refused) {
                Repeat::AtOnce => continue,
                Repeat::Never => return Err(Outage::new(said(&refused))),
                Repeat::Later => {}
            }
            if !std::mem::replace(&mut waits, true) {
                tracing::warn!(error = said(&refused), "the shop waits");
            }
            tokio::time::sleep(TRY_AGAIN_AFTER).await;
        }
    }

    async fn try_write(&self, sql: &str, values: Values<'_>) -> Result<Row, Refused> {
        let session = self.shared.next(&self.sessions).await.map_err(Refused::Session)?;
        let statement = session.prepare(sql).await.map_err(Refused::Preparation)?;
        let row = session.query_one(&statement, values).await.map_err(Refused::Statement)?;
        session.flush().await.map_err(Refused::Flush)?;
        Ok(row)
    }

    /// One snapshot of all tables.
    async fn read_books(&self) -> Result<Books, Outage> {
        let mut session = self.session().await?;
        let snapshot = session.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
        let snapshot = snapshot.start().await.map_err(outage)?;
        let rows = async |sql: &str| snapshot.query(sql, &[]).await.map_err(outage);
        let stock = rows("SELECT sku, initial, available FROM stock").await?;
        let holdings =
            rows("SELECT order_id, sku, quantity, released_by IS NOT NULL FROM reservations WHERE sku IS NOT NULL");
        let holdings = holdings.await?;
        let charges = rows("SELECT order_id, cents, refunded_by IS NOT NULL FROM charges ORDER BY id").await?;
        let mails = rows("SELECT order_id, kind FROM outbox ORDER BY key").await?;
        let mail = |row: &Row| Mail { order: row.get(0), kind: MailKind::of(row.get(1)) };
        Ok(Books {
            stock: all(&stock, |row| StockLine { sku: row.get(0), initial: row.get(1), available: row.get(2) }),
            holdings: all(&holdings, |row| Holding {
                order: row.get(0),
                sku: row.get(1),
                quantity: row.get(2),
                released: row.get(3),
            }),
            charges: all(&charges, |row| Charge { order: row.get(0), cents: row.get(1), refunded: row.get(2) }),
            mails: all(&mails, mail),
        })
    }

    async fn count_repeated_attempts(&self) -> Result<u64, Outage> {
        let row = self.session().await?.query_one(REPEATED_ATTEMPTS, &[]).await.map_err(outage)?;
        Ok(u64::try_from(row.get::<_, i64>(0)).unwrap_or(0))
    }
}

fn all<T>(rows: &[Row], read: impl Fn(&Row) -> T) -> Vec<T> {
    rows.iter().map(read).collect()
}

fn exists(row: &Row) -> bool {
    row.get(0)
}

/// Where an attempt was refused.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("no session")]
    Session(#[source] PoolError),
    #[error("the statement was not sent")]
    Preparation(#[source] Error),
    #[error("the statement failed, or its answer was lost")]
    Statement(#[source] Error),
    #[error("the statement was applied, and may be lost if the server has crashed")]
    Flush(#[source] Error),
}

/// When to repeat a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeat {
    AtOnce,
    Later,
    Never,
}

fn what_to_do(refused: &Refused) -> Repeat {
    let code = |error: &Error| error.code().map(|code| code.code().to_owned());
    match refused {
        Refused::Session(_) => Repeat::Later,
        Refused::Preparation(error) => after_preparation(code(error).as_deref()),
        Refused::Statement(error) => after_statement(code(error).as_deref()),
        Refused::Flush(_) => Repeat::Never,
    }
}

/// Nothing has happened; but a server whose tables have gone does not make them again.
fn after_preparation(code: Option<&str>) -> Repeat {
    if code.is_some_and(|code| code.starts_with("42")) { Repeat::Never } else { Repeat::Later }
}

/// A statement is repeated if the server says that it did nothing: it lost a race (40), the server
/// is a replica now (25), something was used up (53) or locked (55), or it took too long (57014).
/// A session that ended says nothing of that.
fn after_statement(code: Option<&str>) -> Repeat {
    match code {
        Some("40001" | "40P01") => Repeat::AtOnce,
        Some("57014") => Repeat::Later,
        Some(code) if ["25", "53", "55"].iter().any(|class| code.starts_with(class)) => Repeat::Later,
        _ => Repeat::Never,
    }
}

fn outage(error: Error) -> Outage {
    Outage::new(said(&error))
}

/// The error with its causes. Never a password: neither the server nor the way to it tells one.
fn said(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

impl Shop for PostgresShop {
    fn log(&self, attempt: Attempt) -> Reply<'_, (), Outage> {
        Box::pin(async { self.write(LOG, attempt, &[]).await.map(drop) })
    }

    fn check(&self, attempt: Attempt, sku: Sku, quantity: u32) -> Reply<'_, bool, InventoryError> {
        let allowed = quantity <= self.rules.max_quantity;
        Box::pin(async move {
            let available: Option<i64> = self.write(CHECK, attempt, &[&sku.0]).await?.get("answer");
            Ok(allowed && available.unwrap_or(0) >= i64::from(quantity))
        })
    }

    fn reserve(
        &self,
        attempt: Attempt,
        order: OrderId,
        sku: Sku,
        quantity: u32,
    ) -> Reply<'_, Reservation, InventoryError> {
        let id = ReservationId(attempt.key.clone());
        Box::pin(async move {
            let row = self.write(RESERVE, attempt, &[&order.0, &sku.0, &i64::from(quantity)]).await?;
            match row.get("answer") {
                "reserved" => Ok(Reservation { id }),
                "released" => Err(InventoryError::Released),
                _ => Err(InventoryError::OutOfStock),
            }
        })
    }

    fn release(&self, attempt: Attempt, id: ReservationId) -> Reply<'_, (), InventoryError> {
        Box::pin(async move { Ok(self.write(RELEASE, attempt, &[&id.0]).await.map(drop)?) })
    }

    fn charge(&self, attempt: Attempt, order: OrderId, cents: u64) -> Reply<'_, Payment, PaymentError> {
        let (amount, accepted) = match i64::try_from(cents) {
            Ok(amount) => (amount, cents <= self.rules.decline_over),
            Err(_) => (i64::MAX, false),
        };
        Box::pin(async move {
            let row = self.write(CHARGE, attempt, &[&order.0, &amount, &accepted]).await?;
            match row.get("refusal") {
                None => Ok(Payment { id: PaymentId(format!("PAY-{}", row.get::<_, i64>("payment"))) }),
                Some("refunded") => Err(PaymentError::Refunded),
                Some(_) => Err(PaymentError::Declined),
            }
        })
    }

    fn refund(&self, attempt: Attempt, order: OrderId) -> Reply<'_, (), PaymentError> {
        Box::pin(async move { Ok(self.write(REFUND, attempt, &[&order.0]).await.map(drop)?) })
    }

    fn send(&self, attempt: Attempt, mail: NewMail) -> Reply<'_, (), MailError> {
        Box::pin(async move {
            let kind = mail.kind.as_str();
            Ok(self.write(SEND, attempt, &[&mail.order.0, &kind, &mail.to, &mail.text]).await.map(drop)?)
        })
    }

    fn books(&self) -> Reply<'_, Books, Outage> {
        Box::pin(self.read_books())
    }

    fn repeated_attempts(&self) -> Reply<'_, u64, Outage> {
        Box::pin(self.count_repeated_attempts())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_surely_did_not_happen_is_repeated_and_what_may_have_is_not() {
        assert_eq!([after_statement(Some("40001")), after_statement(Some("40P01"))], [Repeat::AtOnce; 2]);
        assert_eq!(["53300", "55P03", "25006", "57014"].map(|code| after_statement(Some(code))), [Repeat::Later; 4]);
        assert_eq!([None, Some("57P01"), Some("42P01"), Some("23514")].map(after_statement), [Repeat::Never; 4]);
        assert_eq!([None, Some("57P01")].map(after_preparation), [Repeat::Later; 2]);
        assert_eq!(after_preparation(Some("42P01")), Repeat::Never);
    }
}
