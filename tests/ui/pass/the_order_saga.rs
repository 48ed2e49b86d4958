//! The saga of the README, under the strictest lints.
#![deny(warnings, missing_docs, clippy::pedantic)]
#![forbid(unsafe_code)]

use saga_runtime::prelude::*;
use serde::{Deserialize, Serialize};

/// An order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Order {
    id: String,
    sku: String,
    quantity: u32,
    cents: u64,
}

/// Goods held for an order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reservation {
    id: u64,
}

/// A payment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Payment {
    id: String,
}

/// What is in stock.
pub struct Stock;

/// Where money is moved.
pub struct Gateway;

/// Why goods could not be held.
#[derive(Debug, Clone, thiserror::Error, Serialize, Deserialize, Classify)]
pub enum InventoryError {
    /// Too few.
    #[error("out of stock")]
    #[permanent]
    OutOfStock,
}

/// Why money did not move.
#[derive(Debug, Clone, thiserror::Error, Serialize, Deserialize, Classify)]
pub enum PaymentError {
    /// The bank said no.
    #[error("card declined")]
    #[permanent]
    Declined,
    /// No answer.
    #[error("gateway unavailable")]
    #[transient]
    Unavailable,
    /// Not even asked.
    #[error("queue full")]
    #[transient(no_effect)]
    QueueFull,
    /// Too often.
    #[error("rate limited")]
    #[transient(retry_after = wait)]
    RateLimited {
        /// How long to wait.
        wait: std::time::Duration,
    },
}

/// Why an order failed.
#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
pub enum OrderError {
    /// Nothing left.
    #[error("out of stock")]
    OutOfStock,
    /// The stock's error.
    #[error(transparent)]
    Inventory(#[from] ActivityError<InventoryError>),
    /// The gateway's error.
    #[error(transparent)]
    Payment(#[from] ActivityError<PaymentError>),
}

/// Whether there is enough.
#[activity(read_only)]
pub async fn check_availability(sku: String, quantity: u32) -> Result<bool, InventoryError> {
    Ok(!sku.is_empty() && quantity > 0)
}

/// Holds goods.
#[activity(
    timeout = "5s",
    retry(max_attempts = 5, initial = "100ms", max = "30s", multiplier = 2.0, jitter = 0.2),
    compensate = release_inventory(output.id),
)]
pub async fn reserve_inventory(
    #[state] stock: &Stock,
    sku: String,
    quantity: u32,
) -> Result<Reservation, InventoryError> {
    let Stock = stock;
    if quantity > 10 || sku.is_empty() {
        return Err(InventoryError::OutOfStock);
    }
    Ok(Reservation { id: 7 })
}

#[activity]
pub async fn release_inventory(#[state] _stock: &Stock, id: u64) -> Result<(), InventoryError> {
    let _ = id;
    Ok(())
}

/// Takes the money.
#[activity(timeout = "10s", compensate = refund_payment(order_id), circuit_breaker(failures = 5, cooldown = "30s"))]
pub async fn charge_payment(
    #[state] gateway: &Gateway,
    #[context] cx: &ActivityContext,
    order_id: String,
    cents: u64,
) -> Result<Payment, PaymentError> {
    let Gateway = gateway;
    if cents > 10_000 {
        return Err(PaymentError::Declined);
    }
    Ok(Payment { id: format!("{order_id}/{}", cx.idempotency_key()) })
}

/// Gives it back.
#[activity]
pub async fn refund_payment(order_id: String) -> Result<(), PaymentError> {
    drop(order_id);
    Ok(())
}

/// The saga.
#[workflow]
pub async fn order_saga(order: Order) -> Result<String, OrderError> {
    if !check_availability(order.sku.clone(), order.quantity).await? {
        return Err(OrderError::OutOfStock);
    }
    let reservation = reserve_inventory(order.sku.clone(), order.quantity).await?;
    let payment = charge_payment(order.id.clone(), order.cents).await?;
    Ok(format!("{}/{}", reservation.id, payment.id))
}

/// The second edition of it.
#[workflow(name = "order_saga", version = 2)]
pub async fn order_saga_v2(order: Order) -> Result<(), OrderError> {
    pay_twice(&order).await
}

#[durable]
async fn pay_twice(order: &Order) -> Result<(), OrderError> {
    charge_payment(order.id.clone(), order.cents).await?;
    charge_payment(order.id.clone(), order.cents).await?;
    Ok(())
}

/// A sign that somebody approved.
#[derive(Serialize, Deserialize, Event)]
#[event(name = "approved")]
pub struct Approval {
    /// Who.
    pub by: String,
}

pub fn main() {
    let call = reserve_inventory("A".to_owned(), 2).timeout(std::time::Duration::from_secs(1));
    assert_eq!((call.input().sku.as_str(), call.input().quantity), ("A", 2));
    assert_eq!(reserve_inventory::NAME, "reserve_inventory");
    assert_eq!((order_saga_v2::NAME, order_saga_v2::VERSION), ("order_saga", 2));
    assert_eq!(<Approval as Event>::NAME, "approved");
    let plain = reserve_inventory::plain(&Stock, "A".to_owned(), 2);
    drop(plain);
    let _ = order_saga(Order { id: String::new(), sku: String::new(), quantity: 1, cents: 1 });
}
