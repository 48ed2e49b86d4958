//! A transactional activity over a toy transaction that is awaited, with state and context, and
//! one of the same name for another kind of store.
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
pub struct ToyTx<'a>(pub &'a mut Vec<i64>);

impl ToyTx<'_> {
    #[allow(clippy::unused_async, reason = "it stands for one that waits")]
    async fn enter(&mut self, cents: i64) {
        self.0.push(cents);
    }
}

impl saga_store::AsyncTransaction for ToyTx<'_> {
    type Family = ToyFamily;
}

/// Takes money from an account.
#[activity(transaction, timeout = "1s", compensate = credit(cents))]
pub async fn debit(
    #[transaction] tx: &mut ToyTx<'_>,
    #[state] limit: &i64,
    #[context] cx: &ActivityContext,
    cents: i64,
) -> saga_runtime::Result<()> {
    tx.enter(-cents.min(*limit) * i64::from(cx.attempt())).await;
    Ok(())
}

/// Gives it back.
#[activity(transaction)]
pub async fn credit(#[transaction] tx: &mut ToyTx<'_>, cents: i64) -> saga_runtime::Result<()> {
    tx.enter(cents).await;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
pub async fn main() {
    let mut rows = Vec::new();
    credit::plain(&mut ToyTx(&mut rows), 7).await.unwrap();
    assert_eq!(rows, [7]);
    let _ = debit(7);
}
