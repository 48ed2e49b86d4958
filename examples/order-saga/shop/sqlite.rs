//! The shop in a `SQLite` file of its own, with group commit.

use std::path::Path;
use std::time::Duration;

use saga_sqlite::{SqliteDb, SqliteTx};
use saga_store::StoreError;

use super::{
    Attempt, Books, InventoryError, MailError, NewMail, Outage, Payment, PaymentError, Reply, Reservation,
    ReservationId, Rules, Shop, statements,
};
use crate::orders::{OrderId, Sku};

/// While the file cannot be written (a full disk, a lock held for long), so much time passes
/// between two tries. An attempt ends by its timeout, not by this.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// The shop in a `SQLite` file.
#[derive(Debug, Clone)]
pub(crate) struct SqliteShop {
    db: SqliteDb,
    rules: Rules,
}

impl SqliteShop {
    /// Opens the file, and makes the tables and the stock if they are not there.
    pub(crate) async fn open(path: &Path, rules: Rules) -> Result<Self, StoreError> {
        let shop = Self { db: SqliteDb::open(path).await?, rules };
        shop.db.setup(statements::create).await?;
        Ok(shop)
    }

    /// Logs the attempt and performs its effect, in one transaction that is shared with others.
    async fn write<T: Send + 'static>(
        &self,
        attempt: Attempt,
        effect: impl Fn(&SqliteTx<'_>, &Attempt) -> saga_sqlite::rusqlite::Result<T> + Clone + Send + 'static,
    ) -> Result<T, Outage> {
        let mut waits = false;
        loop {
            let (attempt, effect) = (attempt.clone(), effect.clone());
            let written = self.db.write(move |tx| {
                statements::log(tx, &attempt)?;
                effect(tx, &attempt)
            });
            match written.await {
                Ok(answer) => return Ok(answer),
                Err(error) if error.is_retryable() => {
                    if !std::mem::replace(&mut waits, true) {
                        tracing::warn!(%error, "the shop waits");
                    }
                    tokio::time::sleep(TRY_AGAIN_AFTER).await;
                }
                Err(error) => return Err(outage(&error)),
            }
        }
    }
}

fn outage(error: &StoreError) -> Outage {
    Outage::new(error.to_string())
}

impl Shop for SqliteShop {
    fn log(&self, attempt: Attempt) -> Reply<'_, (), Outage> {
        Box::pin(self.write(attempt, |_, _| Ok(())))
    }

    fn check(&self, attempt: Attempt, sku: Sku, quantity: u32) -> Reply<'_, bool, InventoryError> {
        let allowed = quantity <= self.rules.max_quantity;
        Box::pin(async move {
            let available = self.write(attempt, move |tx, _| statements::available(tx, &sku)).await?;
            Ok(allowed && available >= i64::from(quantity))
        })
    }

    fn reserve(
        &self,
        attempt: Attempt,
        order: OrderId,
        sku: Sku,
        quantity: u32,
    ) -> Reply<'_, Reservation, InventoryError> {
        let effect =
            move |tx: &SqliteTx<'_>, attempt: &Attempt| statements::reserve(tx, &attempt.key, &order, &sku, quantity);
        Box::pin(async move { self.write(attempt, effect).await? })
    }

    fn release(&self, attempt: Attempt, id: ReservationId) -> Reply<'_, (), InventoryError> {
        let effect =
            move |tx: &SqliteTx<'_>, attempt: &Attempt| statements::release(tx, &attempt.key, &attempt.run, &id);
        Box::pin(async move { Ok(self.write(attempt, effect).await?) })
    }

    fn charge(&self, attempt: Attempt, order: OrderId, cents: u64) -> Reply<'_, Payment, PaymentError> {
        let decline_over = self.rules.decline_over;
        let effect = move |tx: &SqliteTx<'_>, attempt: &Attempt| {
            statements::charge(tx, &attempt.key, &order, cents, decline_over)
        };
        Box::pin(async move { self.write(attempt, effect).await? })
    }

    fn refund(&self, attempt: Attempt, order: OrderId) -> Reply<'_, (), PaymentError> {
        let effect = move |tx: &SqliteTx<'_>, attempt: &Attempt| statements::refund(tx, &attempt.key, &order);
        Box::pin(async move { Ok(self.write(attempt, effect).await?) })
    }

    fn send(&self, attempt: Attempt, mail: NewMail) -> Reply<'_, (), MailError> {
        let effect = move |tx: &SqliteTx<'_>, attempt: &Attempt| statements::send(tx, &attempt.key, &mail);
        Box::pin(async move { Ok(self.write(attempt, effect).await?) })
    }

    fn books(&self) -> Reply<'_, Books, Outage> {
        Box::pin(async { self.db.read(statements::books).await.map_err(|error| outage(&error)) })
    }

    fn repeated_attempts(&self) -> Reply<'_, u64, Outage> {
        Box::pin(async { self.db.read(statements::repeated_attempts).await.map_err(|error| outage(&error)) })
    }
}
