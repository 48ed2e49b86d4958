//! A crate as a user has it, which denies all that can be denied.

#![deny(warnings, missing_docs, clippy::pedantic, unreachable_pub, rust_2018_idioms, missing_debug_implementations)]
#![forbid(unsafe_code)]

use saga_runtime::prelude::*;
use serde::{Deserialize, Serialize};

/// What is kept in stock.
#[derive(Debug, Default)]
pub struct Stock;

impl Stock {
    fn take(&self, sku: &str, quantity: u32) -> u64 {
        let _ = self;
        u64::from(quantity) + sku.len() as u64
    }
}

/// Why there is no stock.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize, Classify)]
pub enum StockError {
    /// There is none.
    #[error("out of stock")]
    #[permanent]
    Out,
    /// The warehouse does not answer.
    #[error("the warehouse does not answer")]
    #[transient(no_effect)]
    Silent,
}

/// Somebody approves.
#[derive(Debug, Clone, Serialize, Deserialize, Event)]
pub struct Approval {
    /// Who.
    pub by: String,
}

/// Reserves stock.
///
/// # Errors
///
/// If there is none.
#[activity(timeout = "5s", compensate = release(output))]
pub async fn reserve(
    #[state] stock: &Stock,
    #[context] cx: &ActivityContext,
    sku: String,
    quantity: u32,
) -> Result<u64, StockError> {
    if cx.attempt() > 3 { Err(StockError::Silent) } else { Ok(stock.take(&sku, quantity)) }
}

/// Releases what was reserved.
#[activity(queue = "stock", priority = -3, circuit_breaker(failures = 5, cooldown = "30s"))]
pub async fn release(reservation: u64) -> Result<(), StockError> {
    if reservation == 0 { Err(StockError::Out) } else { Ok(()) }
}

/// Is the point of no return.
#[activity(pivot, retry(max_attempts = 1))]
pub async fn charge(cents: u64) -> saga_runtime::Result<()> {
    if cents == 0 { Err(saga_runtime::Error::msg("nothing to pay").permanent()) } else { Ok(()) }
}

/// Waits for an approval.
#[durable(strict)]
pub async fn approved(seconds: u64) -> Option<String> {
    let approval = event::<Approval>().timeout(std::time::Duration::from_secs(seconds)).await;
    approval.ok().map(|approval| approval.by)
}

/// Sells something.
#[workflow(strict)]
pub async fn sell(sku: String, quantity: u32) -> saga_runtime::Result<u64> {
    let Some(by) = approved(60).await else {
        return Err(saga_runtime::Error::msg("nobody approved"));
    };
    let reservation = reserve(sku, quantity).await?;
    charge(u64::from(quantity) * by.len() as u64).await?;
    Ok(reservation)
}

/// Sells a lot, if the clock is right.
#[workflow(name = "sell_all", version = 2, allow(clock))]
pub async fn sell_many(skus: Vec<String>) -> saga_runtime::Result<Vec<u64>> {
    let begun = std::time::Instant::now();
    let mut sold = Vec::new();
    for sku in skus {
        sold.push(sell(sku, 1).await?);
    }
    tracing::debug!(seconds = begun.elapsed().as_secs(), "sold");
    Ok(sold)
}
