//! The saga end to end, on the memory store and a real shop.

use std::sync::Arc;

use saga_runtime::RunDetails;
use saga_store::wire::Entry;
use tempfile::TempDir;

use super::*;
use crate::shop::{Books, Faults, MailKind, Rules, SqliteShop};

struct Fixture {
    engine: Engine,
    shop: ShopHandle,
    _folder: TempDir,
}

impl Fixture {
    async fn new(flaky: f64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let rules = Rules { max_quantity: 10, decline_over: 10_000 };
        let shop = SqliteShop::open(&folder.path().join("shop.db"), rules).await.unwrap();
        let shop = ShopHandle::new(Arc::new(shop), Faults::new(flaky, 3));
        let engine = Engine::builder(MemoryStore::new()).state(shop.clone()).start().await.unwrap();
        Self { engine, shop, _folder: folder }
    }

    async fn run(&self, number: usize, quantity: u32, cents: u64) -> (Outcome<Receipt, OrderError>, RunDetails) {
        let (id, sku) = (OrderId::of_line(number), Sku::of_customer(7));
        let order = Order { id: id.clone(), customer: 7, date: 19_970_101, sku, quantity, cents };
        let client = self.engine.client();
        let outcome = client.start(order_saga(order)).id(id.as_str()).await.unwrap().outcome().await.unwrap();
        (outcome, client.show(id.as_str()).await.unwrap())
    }

    async fn books(&self) -> Books {
        self.shop.shop().books().await.unwrap()
    }
}

fn count(run: &RunDetails, counts: impl Fn(&Entry) -> bool) -> u64 {
    run.records.iter().flat_map(|record| &record.entries).filter(|entry| counts(entry)).count() as u64
}

fn refusal<T>(outcome: &Outcome<T, OrderError>) -> Option<Refusal> {
    match outcome {
        Outcome::Failed(error) => error.refusal(),
        _ => None,
    }
}

#[tokio::test]
async fn a_completed_order_takes_as_many_steps_as_the_summary_counts_and_undoes_none() {
    let fixture = Fixture::new(0.0).await;
    let (outcome, run) = fixture.run(1, 10, 10_000).await;
    assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
    assert_eq!(count(&run, |entry| matches!(entry, Entry::StepEnded(_))), STEPS_OF_A_COMPLETED_ORDER);
    assert_eq!(count(&run, |entry| matches!(entry, Entry::UndoEnded(..))), 0);
}

#[tokio::test]
async fn a_declined_order_gives_its_stock_back_and_tells_the_customer() {
    let fixture = Fixture::new(0.0).await;
    let (outcome, run) = fixture.run(1, 1, 10_001).await;
    assert_eq!(refusal(&outcome), Some(Refusal::Declined));
    assert_eq!(count(&run, |entry| matches!(entry, Entry::UndoEnded(..))), 1);
    let books = fixture.books().await;
    assert!(books.holdings.iter().all(|holding| holding.released));
    assert_eq!(books.charges, []);
    assert_eq!(books.mails.iter().map(|mail| mail.kind).collect::<Vec<_>>(), [MailKind::FailureNotice]);
}

#[tokio::test]
async fn orders_that_are_invalid_or_too_large_touch_nothing() {
    let fixture = Fixture::new(0.0).await;
    assert_eq!(refusal(&fixture.run(1, 1, 0).await.0), Some(Refusal::Invalid));
    assert_eq!(refusal(&fixture.run(2, 11, 100).await.0), Some(Refusal::OutOfStock));
    let books = fixture.books().await;
    assert_eq!((books.holdings.len(), books.charges.len(), books.mails.len()), (0, 0, 2));
}

#[tokio::test]
async fn attempts_that_fail_before_or_after_their_effect_change_no_outcome() {
    let fixture = Fixture::new(40.0).await;
    for number in 0..20 {
        let declined = number % 4 == 0;
        let (outcome, _) = fixture.run(number, 1, if declined { 20_000 } else { 500 }).await;
        assert_eq!(refusal(&outcome), declined.then_some(Refusal::Declined), "{outcome:?}");
    }
    let books = fixture.books().await;
    assert_eq!(books.charges.iter().filter(|charge| !charge.refunded).count(), 15);
    assert_eq!(books.holdings.iter().filter(|holding| !holding.released).count(), 15);
    assert_eq!(books.mails.len(), 20);
    assert!(fixture.shop.shop().repeated_attempts().await.unwrap() > 0);
}

#[test]
fn only_business_reasons_are_refusals() {
    assert_eq!(OrderError::OutOfStock.refusal(), Some(Refusal::OutOfStock));
    let declined = OrderError::Payment(ActivityError::Failed(PaymentError::Declined));
    assert_eq!(declined.refusal(), Some(Refusal::Declined));
    let outage = OrderError::Payment(ActivityError::Failed(PaymentError::Unavailable("down".to_owned())));
    assert_eq!(outage.refusal(), None);
    assert_eq!(OrderError::Validation(ActivityError::TimedOut("slow".to_owned())).refusal(), None);
}

#[test]
fn an_error_is_read_back_from_the_journal_as_the_same_refusal() {
    let declined = OrderError::Payment(ActivityError::Failed(PaymentError::Declined));
    let text = serde_json::to_string(&declined).unwrap();
    let read: OrderError = serde_json::from_str(&text).unwrap();
    assert_eq!(read.refusal(), Some(Refusal::Declined));
    assert_eq!(read.to_string(), "card declined");
}

#[test]
fn the_readme_shows_the_plan_of_the_saga() {
    const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let readme = std::fs::read_to_string(README).unwrap();
    let (before, rest) = readme.split_once("```mermaid\n").expect("the README has a diagram");
    let (shown, after) = rest.split_once("```\n").expect("the diagram ends");
    let plan = order_saga::PLAN.to_mermaid();
    if std::env::var_os("SAGA_ACCEPT").is_some_and(|value| value == "1") {
        std::fs::write(README, format!("{before}```mermaid\n{plan}```\n{after}")).unwrap();
        return;
    }
    assert_eq!(plan, shown, "run this test with SAGA_ACCEPT=1");
}
