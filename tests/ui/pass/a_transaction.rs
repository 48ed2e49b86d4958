//! A transactional activity over a toy transaction, with state and context.
#![deny(warnings, missing_docs, clippy::pedantic)]
#![forbid(unsafe_code)]

use saga_runtime::prelude::*;

/// The toy's transactions.
pub struct ToyFamily;

impl saga_store::TxFamily for ToyFamily {
    type Tx<'a> = ToyTx<'a>;
    const STORE_KIND: &'static str = "toy";
}

/// A toy transaction.
pub struct ToyTx<'a>(pub &'a std::cell::RefCell<Vec<i64>>);

impl saga_store::Transaction for ToyTx<'_> {
    type Family = ToyFamily;
}

/// Takes money from an account.
#[activity(transaction, timeout = "1s", compensate = credit(cents))]
pub fn debit(
    #[transaction] tx: &ToyTx<'_>,
    #[state] limit: &i64,
    #[context] cx: &ActivityContext,
    cents: i64,
) -> saga_runtime::Result<()> {
    tx.0.borrow_mut().push(-cents.min(*limit) * i64::from(cx.attempt()));
    Ok(())
}

/// Gives it back.
#[activity(transaction)]
pub fn credit(#[transaction] tx: &ToyTx<'_>, cents: i64) -> saga_runtime::Result<()> {
    tx.0.borrow_mut().push(cents);
    Ok(())
}

pub fn main() {
    let rows = std::cell::RefCell::new(Vec::new());
    credit::plain(&ToyTx(&rows), 7).unwrap();
    assert_eq!(*rows.borrow(), [7]);
    let _ = debit(7);
}
