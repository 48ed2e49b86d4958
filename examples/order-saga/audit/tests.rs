//! Each sort of damage, planted in sound tables, is reported, and nothing else is.

use saga_sqlite::rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::orders::{OrderId, Sku};
use crate::saga::Refusal;
use crate::shop::{NewMail, Rules, Shop, SqliteShop, attempt_for_test};

/// Four orders: one completed, one declined (its stock is given back), one invalid, one cancelled
/// after it was charged.
struct Fixture {
    folder: TempDir,
    orders: Vec<Order>,
    runs: Vec<(&'static str, OrderState)>,
}

fn order(number: usize, quantity: u32, cents: u64) -> Order {
    let sku = Sku("CD-7".to_owned());
    Order { id: OrderId::of_line(number), customer: 7, date: 19_970_101, sku, quantity, cents }
}

impl Fixture {
    async fn new() -> Self {
        let orders = vec![order(1, 2, 1177), order(2, 3, 20_000), order(3, 1, 0), order(4, 4, 500)];
        let runs = vec![
            ("ORD-1", OrderState::Completed),
            ("ORD-2", OrderState::Refused(Refusal::Declined)),
            ("ORD-3", OrderState::Refused(Refusal::Invalid)),
            ("ORD-4", OrderState::Cancelled),
        ];
        let fixture = Self { folder: tempfile::tempdir().unwrap(), orders, runs };
        let shop = fixture.shop().await;
        let reserve = |index: usize, key| {
            let order = &fixture.orders[index];
            shop.reserve(attempt_for_test(key), order.id.clone(), order.sku.clone(), order.quantity)
        };
        let mail = |index: usize, kind| {
            let order = fixture.orders[index].id.clone();
            NewMail { order, to: String::new(), kind, text: String::new() }
        };
        reserve(0, "1/r").await.unwrap();
        shop.charge(attempt_for_test("1/c"), OrderId::of_line(1), 1177).await.unwrap();
        shop.send(attempt_for_test("1/m"), mail(0, MailKind::Confirmation)).await.unwrap();
        let held = reserve(1, "2/r").await.unwrap();
        shop.send(attempt_for_test("2/m"), mail(1, MailKind::FailureNotice)).await.unwrap();
        shop.release(attempt_for_test("2/r/undo"), held.id).await.unwrap();
        shop.send(attempt_for_test("3/m"), mail(2, MailKind::FailureNotice)).await.unwrap();
        let held = reserve(3, "4/r").await.unwrap();
        shop.charge(attempt_for_test("4/c"), OrderId::of_line(4), 500).await.unwrap();
        shop.refund(attempt_for_test("4/c/undo"), OrderId::of_line(4)).await.unwrap();
        shop.release(attempt_for_test("4/r/undo"), held.id).await.unwrap();
        drop(shop);
        fixture
    }

    async fn shop(&self) -> SqliteShop {
        let rules = Rules { max_quantity: 10, decline_over: 10_000 };
        SqliteShop::open(&self.folder.path().join("shop.db"), rules).await.unwrap()
    }

    async fn audit(&self) -> Audit {
        let books = self.shop().await.books().await.unwrap();
        audit(&self.orders, &Runs::of(&self.runs), &books)
    }

    /// What is violated after this damage.
    async fn after(sql: &str) -> Vec<(&'static str, u64)> {
        let fixture = Self::new().await;
        let changed = Connection::open(fixture.folder.path().join("shop.db")).unwrap().execute(sql, []).unwrap();
        assert!(changed > 0, "this changes nothing: {sql}");
        fixture.audit().await.violations()
    }

    /// What is violated if an order stands otherwise.
    async fn with(order: usize, state: OrderState) -> Vec<(&'static str, u64)> {
        let mut fixture = Self::new().await;
        fixture.runs[order - 1].1 = state;
        fixture.audit().await.violations()
    }
}

#[tokio::test]
async fn sound_tables_are_clean_and_summed_up() {
    let expected = Audit { orders: 4, completed: 1, failed: 3, revenue_cents: 1177, units: 2, ..Audit::default() };
    assert_eq!(Fixture::new().await.audit().await, expected);
}

#[tokio::test]
async fn an_order_without_an_end_is_missing() {
    assert_eq!(Fixture::with(3, OrderState::Absent).await, [("missing", 1)]);
    assert_eq!(Fixture::with(3, OrderState::Open).await, [("missing", 1)]);
    assert_eq!(Fixture::with(3, OrderState::Stuck).await, [("missing", 1)]);
}

#[tokio::test]
async fn a_completed_order_without_all_that_it_asked_for_is_missing() {
    assert_eq!(Fixture::after("DELETE FROM charges WHERE order_id = 'ORD-1'").await, [("missing", 1)]);
    assert_eq!(Fixture::after("UPDATE charges SET cents = 1 WHERE order_id = 'ORD-1'").await, [("missing", 1)]);
    assert_eq!(Fixture::after("UPDATE charges SET refunded_by = 'x' WHERE order_id = 'ORD-1'").await, [("missing", 1)]);
    assert_eq!(Fixture::after("DELETE FROM outbox WHERE order_id = 'ORD-1'").await, [("missing", 1)]);
    let lost = Fixture::after("DELETE FROM reservations WHERE order_id = 'ORD-1'").await;
    assert_eq!(lost, [("missing", 1), ("stock_mismatch", 1)]);
}

#[tokio::test]
async fn a_second_charge_is_reported() {
    let twice = "INSERT INTO charges (key, order_id, cents) VALUES ('other', 'ORD-1', 1177)";
    assert_eq!(Fixture::after(twice).await, [("duplicate_charges", 1)]);
}

#[tokio::test]
async fn a_charge_of_a_failed_order_that_was_not_paid_back_is_reported() {
    let kept = "UPDATE charges SET refunded_by = NULL WHERE order_id = 'ORD-4'";
    assert_eq!(Fixture::after(kept).await, [("unrefunded_charges", 1)]);
    let stray = "INSERT INTO charges (key, order_id, cents) VALUES ('stray', 'ORD-99', 5)";
    assert_eq!(Fixture::after(stray).await, [("unrefunded_charges", 1)]);
}

#[tokio::test]
async fn a_reservation_of_a_failed_order_that_was_not_released_is_reported() {
    let kept = Fixture::after("UPDATE reservations SET released_by = NULL WHERE order_id = 'ORD-2'").await;
    assert_eq!(kept, [("leaked_reservations", 1), ("stock_mismatch", 1)]);
}

#[tokio::test]
async fn stock_that_does_not_add_up_is_reported() {
    let off_by_one = "UPDATE stock SET available = available - 1 WHERE sku = 'CD-9'";
    assert_eq!(Fixture::after(off_by_one).await, [("stock_mismatch", 1)]);
    assert_eq!(Fixture::after("DELETE FROM stock WHERE sku = 'CD-7'").await, [("stock_mismatch", 1)]);
}

#[tokio::test]
async fn a_second_confirmation_or_one_of_a_failed_order_is_reported() {
    let insert = |order: &str| format!("INSERT INTO outbox VALUES ('other', '{order}', 'confirmation', '', '')");
    assert_eq!(Fixture::after(&insert("ORD-1")).await, [("duplicate_confirmations", 1)]);
    assert_eq!(Fixture::after(&insert("ORD-2")).await, [("duplicate_confirmations", 1)]);
}

#[tokio::test]
async fn a_failed_order_whose_customer_was_not_told_is_reported() {
    assert_eq!(Fixture::after("DELETE FROM outbox WHERE order_id = 'ORD-2'").await, [("missing_notices", 1)]);
}

#[tokio::test]
async fn an_open_order_may_hold_what_it_needs() {
    assert_eq!(Fixture::with(1, OrderState::Open).await, [("missing", 1)]);
}
