//! The order saga, end to end, on each store.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use saga_runtime::prelude::*;
use saga_runtime::store::Query;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, thiserror::Error, Serialize, Deserialize, Classify)]
pub enum PaymentError {
    #[error("card declined")]
    #[permanent]
    Declined,
    #[error("gateway unavailable")]
    #[transient]
    Unavailable,
}

#[derive(Default)]
pub struct Shop {
    log: Mutex<Vec<String>>,
    flaky: AtomicU32,
}

impl Shop {
    fn note(&self, what: String) {
        self.log.lock().unwrap().push(what);
    }
}

#[activity(compensate = release(output), retry(initial = "1ms"))]
pub async fn reserve(#[state] shop: &Shop, sku: String) -> Result<u64, PaymentError> {
    shop.note(format!("reserve {sku}"));
    if shop.flaky.load(Ordering::SeqCst) > 0 {
        shop.flaky.fetch_sub(1, Ordering::SeqCst);
        return Err(PaymentError::Unavailable);
    }
    Ok(7)
}

#[activity]
pub async fn release(#[state] shop: &Shop, id: u64) -> Result<(), PaymentError> {
    shop.note(format!("release {id}"));
    Ok(())
}

#[activity(compensate = refund(order))]
pub async fn charge(#[state] shop: &Shop, order: String, cents: u64) -> Result<u64, PaymentError> {
    shop.note(format!("charge {order}"));
    if cents > 100 { Err(PaymentError::Declined) } else { Ok(cents) }
}

#[activity]
pub async fn refund(#[state] shop: &Shop, order: String) -> Result<(), PaymentError> {
    shop.note(format!("refund {order}"));
    Ok(())
}

#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
pub enum OrderError {
    #[error(transparent)]
    Payment(#[from] ActivityError<PaymentError>),
}

#[workflow]
pub async fn order(id: String, cents: u64) -> Result<u64, OrderError> {
    let reservation = reserve("CD-1".to_owned()).await?;
    let payment = charge(id, cents).await?;
    Ok(reservation + payment)
}

#[tokio::test]
async fn a_saga_runs_and_a_failed_one_is_undone() {
    let shop = std::sync::Arc::new(Shop::default());
    let engine = Engine::builder(MemoryStore::new()).shared_state(shop.clone()).start().await.unwrap();
    let run = engine.client().start(order("A".to_owned(), 5)).id("A").await.unwrap();
    assert_eq!(run.result().await.unwrap(), 12);
    let run = engine.client().start(order("B".to_owned(), 500)).id("B").await.unwrap();
    assert!(matches!(run.outcome().await.unwrap(), Outcome::Failed(OrderError::Payment(ActivityError::Failed(PaymentError::Declined)))));
    let log = shop.log.lock().unwrap().clone();
    assert_eq!(log, ["reserve CD-1", "charge A", "reserve CD-1", "charge B", "release 7"]);
    let details = engine.client().show("A").await.unwrap();
    assert_eq!(details.records.len(), 4, "a run of N steps costs N+2 records: {:#?}", details.records);
    let page = engine.client().list(&Query { limit: 10, ..Query::default() }).await.unwrap();
    assert_eq!(page.runs.len(), 2);
    engine.shutdown().await;
}
