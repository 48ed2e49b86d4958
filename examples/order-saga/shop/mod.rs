//! The shop that the saga works on: stock, payments, and an outbox of mails.
//!
//! It stands for what a real program has outside: a warehouse, a payment provider, a mail
//! service. All of them take an idempotency key and perform the effect of a key once, however
//! often they are asked; the first answer is the answer.

mod books;
mod error;
mod faults;
mod postgres;
mod sessions;
mod sqlite;
mod statements;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use saga_runtime::ActivityContext;
use serde::{Deserialize, Serialize};

pub(crate) use books::{Books, Charge, Holding, Mail, StockLine};
pub(crate) use error::{InventoryError, MailError, Outage, PaymentError};
pub(crate) use faults::Faults;
pub(crate) use postgres::PostgresShop;
pub(crate) use sqlite::SqliteShop;

use crate::orders::{OrderId, Sku};
use faults::Moment;

/// How many there are of each article in the beginning.
const INITIAL_STOCK: i64 = 1_000_000;

/// What a verb of the shop answers, some time later.
pub(crate) type Reply<'a, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

/// What the shop refuses.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rules {
    /// It does not sell more than this many of an article at once.
    pub(crate) max_quantity: u32,
    /// Cards are declined for more cents than this.
    pub(crate) decline_over: u64,
}

/// The shop's tables. Each verb logs the attempt, together with its effect, in a log of its own.
pub(crate) trait Shop: Send + Sync + 'static {
    /// Logs an attempt that asks nothing else of the shop.
    fn log(&self, attempt: Attempt) -> Reply<'_, (), Outage>;

    /// Whether so many of an article can be had now.
    fn check(&self, attempt: Attempt, sku: Sku, quantity: u32) -> Reply<'_, bool, InventoryError>;

    /// Takes stock for an order, once a key.
    fn reserve(
        &self,
        attempt: Attempt,
        order: OrderId,
        sku: Sku,
        quantity: u32,
    ) -> Reply<'_, Reservation, InventoryError>;

    /// Gives stock back. A reservation that is unknown so far is refused when it comes.
    fn release(&self, attempt: Attempt, id: ReservationId) -> Reply<'_, (), InventoryError>;

    /// Charges a card for an order, once a key.
    fn charge(&self, attempt: Attempt, order: OrderId, cents: u64) -> Reply<'_, Payment, PaymentError>;

    /// Pays back what was charged for an order. A charge that comes after it is refused.
    fn refund(&self, attempt: Attempt, order: OrderId) -> Reply<'_, (), PaymentError>;

    /// Sends a mail, once a key.
    fn send(&self, attempt: Attempt, mail: NewMail) -> Reply<'_, (), MailError>;

    /// All that is in the tables, for an audit.
    fn books(&self) -> Reply<'_, Books, Outage>;

    /// How many attempts were begun that were not the first ones of their steps.
    fn repeated_attempts(&self) -> Reply<'_, u64, Outage>;
}

/// An attempt of a step, as the shop logs it.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    /// The step's idempotency key.
    pub(crate) key: String,
    /// Which attempt, from 1.
    pub(crate) number: u32,
    /// The run.
    pub(crate) run: String,
    /// The activity.
    pub(crate) activity: &'static str,
    /// When it began: microseconds since 1970.
    pub(crate) started_at: i64,
}

impl Attempt {
    /// The attempt that begins now.
    fn begin(context: &ActivityContext) -> Self {
        Self {
            key: context.idempotency_key().to_string(),
            number: context.attempt(),
            run: context.run_id().to_string(),
            activity: context.activity(),
            started_at: saga_store::Timestamp::from_system_clock().as_micros(),
        }
    }
}

/// The name of a reservation: the idempotency key under which it was made, so that it can be
/// released, and kept from coming, before anyone has seen it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct ReservationId(pub(crate) String);

/// Stock that is held for an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reservation {
    /// Its name.
    pub(crate) id: ReservationId,
}

/// The payment provider's name for a payment: `PAY-17`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct PaymentId(pub(crate) String);

impl fmt::Display for PaymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Money that was charged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Payment {
    /// Its name.
    pub(crate) id: PaymentId,
}

/// What a mail is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum MailKind {
    /// The order is on its way.
    Confirmation,
    /// The order failed.
    FailureNotice,
}

impl MailKind {
    /// The kind as tables have it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Confirmation => "confirmation",
            Self::FailureNotice => "failure notice",
        }
    }

    /// The kind of a table's row.
    fn of(text: &str) -> Self {
        if text == Self::Confirmation.as_str() { Self::Confirmation } else { Self::FailureNotice }
    }
}

/// A mail to send.
#[derive(Debug, Clone)]
pub(crate) struct NewMail {
    /// The order that it is about.
    pub(crate) order: OrderId,
    /// To whom.
    pub(crate) to: String,
    /// What about.
    pub(crate) kind: MailKind,
    /// What it says.
    pub(crate) text: String,
}

/// The shop as activities see it: with the attempts that are made to fail on purpose.
#[derive(Clone)]
pub(crate) struct ShopHandle {
    shop: Arc<dyn Shop>,
    faults: Faults,
    attempts: Arc<AtomicU64>,
}

impl ShopHandle {
    /// This shop, with these faults.
    pub(crate) fn new(shop: Arc<dyn Shop>, faults: Faults) -> Self {
        Self { shop, faults, attempts: Arc::default() }
    }

    /// The shop itself.
    pub(crate) fn shop(&self) -> &dyn Shop {
        &*self.shop
    }

    /// How many attempts this process has made.
    pub(crate) fn attempts(&self) -> u64 {
        self.attempts.load(Ordering::Relaxed)
    }

    /// Performs an attempt's request to the shop, unless this attempt is made to fail: before
    /// its effect, or after it, when the answer is lost.
    pub(crate) async fn perform<'a, T, E: From<Outage>>(
        &'a self,
        context: &ActivityContext,
        request: impl FnOnce(&'a dyn Shop, Attempt) -> Reply<'a, T, E>,
    ) -> Result<T, E> {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        let attempt = Attempt::begin(context);
        match self.faults.strike(&attempt.key, attempt.number) {
            None => request(&*self.shop, attempt).await,
            Some(Moment::BeforeEffect) => {
                self.shop.log(attempt).await?;
                Err(Outage::new("the request was lost (--flaky)").into())
            }
            Some(Moment::AfterEffect) => {
                drop(request(&*self.shop, attempt).await);
                Err(Outage::new("the answer was lost (--flaky)").into())
            }
        }
    }
}

/// A first attempt of a step with this key.
#[cfg(test)]
pub(crate) fn attempt_for_test(key: &str) -> Attempt {
    Attempt { key: key.to_owned(), number: 1, run: "ORD-1".to_owned(), activity: "test", started_at: 0 }
}
