//! The saga: its steps, how each is undone, and the order they are taken in.
//!
//! An attempt may take 10 minutes, although it takes milliseconds: while the shop's disk is full
//! it waits, rather than use up the step's 20 attempts and fail an order that nothing is wrong with.

#[cfg(test)]
mod tests;

use saga_runtime::prelude::*;
use serde::{Deserialize, Serialize};

use crate::orders::{Order, OrderId, Sku};
use crate::shop::{
    InventoryError, MailError, MailKind, NewMail, Outage, Payment, PaymentError, PaymentId, Reservation, ReservationId,
    ShopHandle,
};

/// How many steps an order takes that completes: each of those in [`fulfil`], once.
pub(crate) const STEPS_OF_A_COMPLETED_ORDER: u64 = 5;

/// Why an order is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize, Classify)]
pub(crate) enum ValidationError {
    /// Nothing is to be paid.
    #[error("the order is over 0.00 dollars")]
    #[permanent]
    NothingToPay,
    /// The shop could not be asked.
    #[error("the shop does not answer: {0}")]
    #[transient(no_effect)]
    Unavailable(String),
}

impl From<Outage> for ValidationError {
    fn from(outage: Outage) -> Self {
        Self::Unavailable(outage.to_string())
    }
}

/// Checks what can be said of an order without asking anyone.
#[activity(timeout = "10m", retry(max_attempts = 20, initial = "5ms", max = "1s"))]
pub(crate) async fn validate_order(
    #[state] shop: &ShopHandle,
    #[context] cx: &ActivityContext,
    cents: u64,
) -> Result<(), ValidationError> {
    shop.perform::<_, Outage>(cx, |shop, attempt| shop.log(attempt)).await?;
    if cents == 0 { Err(ValidationError::NothingToPay) } else { Ok(()) }
}

/// Whether the shop has so many.
#[activity(timeout = "10m", retry(max_attempts = 20, initial = "5ms", max = "1s"))]
pub(crate) async fn check_availability(
    #[state] shop: &ShopHandle,
    #[context] cx: &ActivityContext,
    sku: Sku,
    quantity: u32,
) -> Result<bool, InventoryError> {
    shop.perform(cx, |shop, attempt| shop.check(attempt, sku, quantity)).await
}

/// Takes stock for the order.
#[activity(
    timeout = "10m",
    retry(max_attempts = 20, initial = "5ms", max = "1s"),
    compensate = release_inventory(output.id),
)]
pub(crate) async fn reserve_inventory(
    #[state] shop: &ShopHandle,
    #[context] cx: &ActivityContext,
    order_id: OrderId,
    sku: Sku,
    quantity: u32,
) -> Result<Reservation, InventoryError> {
    shop.perform(cx, |shop, attempt| shop.reserve(attempt, order_id, sku, quantity)).await
}

/// Gives the stock back. Retried until it succeeds, as undos are.
#[activity(timeout = "10m", retry(initial = "5ms", max = "1s"))]
pub(crate) async fn release_inventory(
    #[state] shop: &ShopHandle,
    #[context] cx: &ActivityContext,
    id: ReservationId,
) -> Result<(), InventoryError> {
    shop.perform(cx, |shop, attempt| shop.release(attempt, id)).await
}

/// Charges the card. Its undo needs no output, so the money is paid back also when nobody knows
/// whether it moved.
#[activity(
    timeout = "10m",
    retry(max_attempts = 20, initial = "5ms", max = "1s"),
    compensate = refund_payment(order_id),
)]
pub(crate) async fn charge_payment(
    #[state] shop: &ShopHandle,
    #[context] cx: &ActivityContext,
    order_id: OrderId,
    cents: u64,
) -> Result<Payment, PaymentError> {
    shop.perform(cx, |shop, attempt| shop.charge(attempt, order_id, cents)).await
}

/// Pays back what was charged for the order, and keeps a charge that is still under way from
/// landing. Retried until it succeeds, as undos are.
#[activity(timeout = "10m", retry(initial = "5ms", max = "1s"))]
pub(crate) async fn refund_payment(
    #[state] shop: &ShopHandle,
    #[context] cx: &ActivityContext,
    order_id: OrderId,
) -> Result<(), PaymentError> {
    shop.perform(cx, |shop, attempt| shop.refund(attempt, order_id)).await
}

/// Writes to the customer that the order is on its way.
#[activity(timeout = "10m", retry(max_attempts = 20, initial = "5ms", max = "1s"))]
pub(crate) async fn send_confirmation(
    #[state] shop: &ShopHandle,
    #[context] cx: &ActivityContext,
    order_id: OrderId,
    email: String,
    payment: PaymentId,
) -> Result<(), MailError> {
    let text = format!("Your order {order_id} is on its way; we received {payment}.");
    let mail = NewMail { order: order_id, to: email, kind: MailKind::Confirmation, text };
    shop.perform(cx, |shop, attempt| shop.send(attempt, mail)).await
}

/// Writes to the customer that the order failed, and why.
#[activity(timeout = "10m", retry(max_attempts = 20, initial = "5ms", max = "1s"))]
pub(crate) async fn send_failure_notice(
    #[state] shop: &ShopHandle,
    #[context] cx: &ActivityContext,
    order_id: OrderId,
    email: String,
    reason: String,
) -> Result<(), MailError> {
    let text = format!("We are sorry that your order {order_id} failed: {reason}.");
    let mail = NewMail { order: order_id, to: email, kind: MailKind::FailureNotice, text };
    shop.perform(cx, |shop, attempt| shop.send(attempt, mail)).await
}

/// What a completed order has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Receipt {
    /// The stock.
    pub(crate) reservation: ReservationId,
    /// The money.
    pub(crate) payment: PaymentId,
}

/// Why an order failed.
#[derive(Debug, Clone, thiserror::Error, Serialize, Deserialize)]
pub(crate) enum OrderError {
    /// It is not valid, or could not be validated.
    #[error(transparent)]
    Validation(#[from] ActivityError<ValidationError>),
    /// The shop does not have so many.
    #[error("out of stock")]
    OutOfStock,
    /// The warehouse refused, or could not be asked.
    #[error(transparent)]
    Inventory(#[from] ActivityError<InventoryError>),
    /// The payment provider refused, or could not be asked.
    #[error(transparent)]
    Payment(#[from] ActivityError<PaymentError>),
    /// A mail could not be sent.
    #[error(transparent)]
    Mail(#[from] ActivityError<MailError>),
}

/// The reasons for which a shop refuses an order in the course of business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Not valid.
    Invalid,
    /// Not available.
    OutOfStock,
    /// Not paid.
    Declined,
}

impl OrderError {
    /// The business reason, if it was one; otherwise something did not work.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Validation(ActivityError::Failed(ValidationError::NothingToPay)) => Some(Refusal::Invalid),
            Self::OutOfStock | Self::Inventory(ActivityError::Failed(InventoryError::OutOfStock)) => {
                Some(Refusal::OutOfStock)
            }
            Self::Payment(ActivityError::Failed(PaymentError::Declined)) => Some(Refusal::Declined),
            _ => None,
        }
    }
}

/// Fulfils an order. If that fails, the customer is told, and what was done is taken back.
#[workflow]
pub(crate) async fn order_saga(order: Order) -> Result<Receipt, OrderError> {
    let fulfilled = fulfil(&order).await;
    if let Err(error) = &fulfilled {
        send_failure_notice(order.id.clone(), order.email(), error.to_string()).await?;
    }
    fulfilled
}

#[durable]
async fn fulfil(order: &Order) -> Result<Receipt, OrderError> {
    validate_order(order.cents).await?;
    if !check_availability(order.sku.clone(), order.quantity).await? {
        return Err(OrderError::OutOfStock);
    }
    let reservation = reserve_inventory(order.id.clone(), order.sku.clone(), order.quantity).await?;
    let payment = charge_payment(order.id.clone(), order.cents).await?;
    send_confirmation(order.id.clone(), order.email(), payment.id.clone()).await?;
    Ok(Receipt { reservation: reservation.id, payment: payment.id })
}
