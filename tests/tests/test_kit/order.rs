//! The order saga of the documentation, with its activities mocked.

use std::sync::Mutex;
use std::time::Duration;

use saga_runtime::prelude::*;
use saga_runtime::test::{Script, TestEngine};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize, Classify)]
pub(crate) enum PaymentError {
    #[error("card declined")]
    #[permanent]
    Declined,
    #[error("gateway unavailable")]
    #[transient]
    Unavailable,
    #[error("queue full")]
    #[transient(no_effect)]
    QueueFull,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize, Classify)]
#[error("not in stock")]
#[permanent]
pub(crate) struct InventoryError;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reservation {
    pub(crate) id: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) sku: String,
    pub(crate) quantity: u32,
    pub(crate) cents: u64,
}

impl Order {
    pub(crate) fn example() -> Self {
        Self { sku: "KB-1".to_owned(), quantity: 2, cents: 500 }
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub(crate) enum OrderError {
    #[error(transparent)]
    Inventory(#[from] ActivityError<InventoryError>),
    #[error(transparent)]
    Payment(#[from] ActivityError<PaymentError>),
}

#[derive(Debug, Default)]
pub(crate) struct Stock(Mutex<u32>);

impl Stock {
    pub(crate) fn fixture() -> Self {
        Self(Mutex::new(10))
    }

    pub(crate) fn left(&self) -> u32 {
        *self.0.lock().unwrap()
    }
}

#[activity(compensate = release_inventory(output.id, quantity))]
pub(crate) async fn reserve_inventory(
    #[state] stock: &Stock,
    sku: String,
    quantity: u32,
) -> Result<Reservation, InventoryError> {
    assert!(!sku.is_empty());
    let mut left = stock.0.lock().unwrap();
    *left = left.checked_sub(quantity).ok_or(InventoryError)?;
    Ok(Reservation { id: 7 })
}

#[activity]
pub(crate) async fn release_inventory(#[state] stock: &Stock, id: u32, quantity: u32) -> Result<(), InventoryError> {
    assert_eq!(id, 7);
    *stock.0.lock().unwrap() += quantity;
    Ok(())
}

#[activity(timeout = "10s", compensate = refund_payment())]
pub(crate) async fn charge_payment(cents: u64) -> Result<u64, PaymentError> {
    Ok(cents)
}

#[activity]
pub(crate) async fn refund_payment() -> Result<(), PaymentError> {
    Ok(())
}

#[workflow]
pub(crate) async fn order_saga(order: Order) -> Result<u64, OrderError> {
    reserve_inventory(order.sku.clone(), order.quantity).await?;
    Ok(charge_payment(order.cents).await?)
}

fn declined() -> OrderError {
    OrderError::Payment(ActivityError::Failed(PaymentError::Declined))
}

#[tokio::test]
async fn the_example_of_the_documentation_runs_as_written() {
    let (stock, order) = (Stock::fixture(), Order::example());
    let env = TestEngine::new().state(stock).mock::<charge_payment>(|_input| Err(PaymentError::Declined)).start().await;
    let outcome = env.run(order_saga(order)).await; // time is virtual: a day's sleep takes no time
    env.assert_undone::<reserve_inventory>();
    assert_eq!(outcome, Outcome::Failed(declined()));
}

#[tokio::test]
async fn a_mock_takes_its_input_apart_and_the_rest_runs_its_own_code() {
    let stock = std::sync::Arc::new(Stock::fixture());
    let env = TestEngine::new()
        .shared_state(stock.clone())
        .mock::<charge_payment>(|charge_payment { cents, .. }| Ok(cents + 1))
        .start()
        .await;
    assert_eq!(env.run(order_saga(Order::example())).await, Outcome::Completed(501));
    assert_eq!(stock.left(), 8);
    env.assert_not_undone::<reserve_inventory>();
    env.assert_call_order(&["reserve_inventory", "charge_payment"]);
    let call = env.calls::<reserve_inventory>().remove(0);
    assert_eq!((call.input.quantity, call.returned), (2, Some(Ok(Reservation { id: 7 }))));
}

#[tokio::test]
async fn a_script_fails_hangs_panics_and_then_succeeds() {
    let script = Script::new()
        .once(|_| Err(PaymentError::QueueFull))
        .panic("the gateway's client fell over")
        .hang()
        .wait(Duration::from_secs(2))
        .then(|charge_payment { cents }| Ok(cents));
    let env = TestEngine::new().state(Stock::fixture()).script(script).start().await;
    let began = env.now();
    assert_eq!(env.run(order_saga(Order::example())).await, Outcome::Completed(500));
    let calls = env.calls::<charge_payment>();
    assert_eq!(calls.len(), 4);
    assert!(calls.iter().all(|call| call.key == calls[0].key), "one step has one key");
    assert_eq!(calls[0].returned, Some(Err(ActivityError::Failed(PaymentError::QueueFull))));
    assert_eq!(calls[1].returned, None);
    let took = env.now().since(began);
    assert!(took > Duration::from_secs(12) && took < Duration::from_secs(14), "the timeout and the wait: {took:?}");
}

#[tokio::test]
async fn an_activity_that_always_hangs_or_panics_is_of_unknown_outcome_and_undone() {
    let hangs = TestEngine::new().state(Stock::fixture()).hang::<charge_payment>().start().await;
    let outcome = hangs.run(order_saga(Order::example())).await;
    assert!(matches!(outcome, Outcome::Failed(OrderError::Payment(ActivityError::TimedOut(_)))), "{outcome:?}");
    let panics = TestEngine::new().state(Stock::fixture()).panic::<charge_payment>("boom").start().await;
    let outcome = panics.run(order_saga(Order::example())).await;
    assert!(matches!(outcome, Outcome::Failed(OrderError::Payment(ActivityError::Panicked(_)))), "{outcome:?}");
    for env in [hangs, panics] {
        env.assert_called::<charge_payment>(5);
        env.assert_undone_times::<charge_payment>(1);
        env.assert_undo_order(&["charge_payment", "reserve_inventory"]);
    }
}

#[tokio::test]
async fn an_activity_fails_so_often_and_then_runs_its_own_code() {
    let env = TestEngine::new()
        .state(Stock::fixture())
        .fail_times::<charge_payment>(4, || PaymentError::Unavailable)
        .start()
        .await;
    assert_eq!(env.run(order_saga(Order::example())).await, Outcome::Completed(500));
    env.assert_called::<charge_payment>(5);
}

#[tokio::test]
async fn a_failed_assertion_shows_the_journal_and_the_difference() {
    let env = TestEngine::new().state(Stock::fixture()).start().await;
    env.run(order_saga(Order::example())).await;
    let says = |assertion: &dyn Fn(&TestEngine)| {
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| assertion(&env))).unwrap_err();
        *panic.downcast::<String>().unwrap()
    };
    let undone = says(&TestEngine::assert_undone::<reserve_inventory>);
    assert!(undone.starts_with("`reserve_inventory` is not undone at step 0:\n   0  2026-01-01"), "{undone}");
    assert!(undone.contains("step 0 returned {\"id\":7} at attempt 1, undone by `release_inventory`"), "{undone}");
    let order = says(&|env| env.assert_call_order(&["charge_payment", "reserve_inventory"]));
    assert!(order.contains("  - charge_payment\n    reserve_inventory\n  + charge_payment"), "{order}");
    let id = env.histories()[0].run.clone();
    let journal = says(&|env| env.assert_journal(&id, &["completed with 500"]));
    assert!(journal.contains("    completed with 500"), "{journal}");
}

#[tokio::test]
async fn missing_state_fails_the_test_and_says_what_to_write() {
    let env = TestEngine::new().start().await;
    let run = std::panic::AssertUnwindSafe(env.run(order_saga(Order::example())));
    let panic = futures_util::FutureExt::catch_unwind(run).await.unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.contains("Stock`, which the test engine was not given: add `.state(…)`"), "{message}");
}
