//! One key, one effect: whatever is repeated, late or lost.

use std::path::Path;

use saga_sqlite::rusqlite::Connection;
use tempfile::TempDir;

use super::*;

const RULES: Rules = Rules { max_quantity: 10, decline_over: 10_000 };

struct Fixture {
    shop: SqliteShop,
    folder: TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let shop = SqliteShop::open(&folder.path().join("shop.db"), RULES).await.unwrap();
        Self { shop, folder }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("shop.db")
    }

    async fn books(&self) -> Books {
        self.shop.books().await.unwrap()
    }

    async fn stock(&self, sku: &str) -> i64 {
        let books = self.books().await;
        books.stock.iter().find(|line| line.sku == sku).unwrap().available
    }
}

fn attempt(key: &str, number: u32) -> Attempt {
    Attempt { key: key.to_owned(), number, run: "ORD-1".to_owned(), activity: "test", started_at: i64::from(number) }
}

fn order() -> OrderId {
    OrderId("ORD-1".to_owned())
}

fn sku() -> Sku {
    Sku("CD-7".to_owned())
}

fn mail(kind: MailKind) -> NewMail {
    NewMail { order: order(), to: "a@example.com".to_owned(), kind, text: "Hello".to_owned() }
}

fn logged(path: &Path) -> Vec<(i64, String, u32)> {
    let conn = Connection::open(path).unwrap();
    let mut rows = conn.prepare("SELECT seq, key, attempt FROM attempts ORDER BY seq").unwrap();
    rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap().map(Result::unwrap).collect()
}

#[tokio::test]
async fn a_repeated_reservation_takes_stock_once_and_gives_the_same_answer() {
    let fixture = Fixture::new().await;
    let first = fixture.shop.reserve(attempt("k", 1), order(), sku(), 3).await.unwrap();
    let again = fixture.shop.reserve(attempt("k", 2), order(), sku(), 3).await.unwrap();
    assert_eq!(first, again);
    assert_eq!(fixture.stock("CD-7").await, statements::INITIAL_STOCK - 3);
}

#[tokio::test]
async fn a_repeated_release_gives_stock_back_once() {
    let fixture = Fixture::new().await;
    let reservation = fixture.shop.reserve(attempt("k", 1), order(), sku(), 3).await.unwrap();
    fixture.shop.release(attempt("k/undo", 1), reservation.id.clone()).await.unwrap();
    fixture.shop.release(attempt("k/undo", 2), reservation.id).await.unwrap();
    assert_eq!(fixture.stock("CD-7").await, statements::INITIAL_STOCK);
    assert!(fixture.books().await.holdings.iter().all(|holding| holding.released));
}

#[tokio::test]
async fn a_reservation_that_comes_after_its_release_is_refused_and_takes_nothing() {
    let fixture = Fixture::new().await;
    fixture.shop.release(attempt("k/undo", 1), ReservationId("k".to_owned())).await.unwrap();
    let late = fixture.shop.reserve(attempt("k", 1), order(), sku(), 3).await;
    assert_eq!(late, Err(InventoryError::Released));
    assert_eq!(fixture.stock("CD-7").await, statements::INITIAL_STOCK);
    assert_eq!(fixture.books().await.holdings, []);
}

#[tokio::test]
async fn a_reservation_attempt_that_lands_after_the_release_does_not_take_stock_again() {
    let fixture = Fixture::new().await;
    let reservation = fixture.shop.reserve(attempt("k", 2), order(), sku(), 3).await.unwrap();
    fixture.shop.release(attempt("k/undo", 1), reservation.id).await.unwrap();
    let late = fixture.shop.reserve(attempt("k", 1), order(), sku(), 3).await;
    assert_eq!(late, Err(InventoryError::Released));
    assert_eq!(fixture.stock("CD-7").await, statements::INITIAL_STOCK);
}

#[tokio::test]
async fn stock_that_is_not_there_is_not_reserved() {
    let fixture = Fixture::new().await;
    let nothing = Sku("CD-none".to_owned());
    let refused = fixture.shop.reserve(attempt("k", 1), order(), nothing.clone(), 1).await;
    assert_eq!(refused, Err(InventoryError::OutOfStock));
    assert_eq!(fixture.shop.check(attempt("c", 1), nothing, 1).await, Ok(false));
}

#[tokio::test]
async fn availability_ends_above_the_largest_quantity() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.shop.check(attempt("a", 1), sku(), 10).await, Ok(true));
    assert_eq!(fixture.shop.check(attempt("b", 1), sku(), 11).await, Ok(false));
}

#[tokio::test]
async fn a_repeated_charge_charges_once_and_gives_the_same_answer() {
    let fixture = Fixture::new().await;
    let first = fixture.shop.charge(attempt("k", 1), order(), 1177).await.unwrap();
    let again = fixture.shop.charge(attempt("k", 2), order(), 1177).await.unwrap();
    assert_eq!(first, again);
    let charges = fixture.books().await.charges;
    assert_eq!(charges, [Charge { order: "ORD-1".to_owned(), cents: 1177, refunded: false }]);
}

#[tokio::test]
async fn a_card_is_declined_above_the_threshold_only() {
    let fixture = Fixture::new().await;
    assert!(fixture.shop.charge(attempt("a", 1), order(), 10_000).await.is_ok());
    let declined = fixture.shop.charge(attempt("b", 1), order(), 10_001).await;
    assert_eq!(declined, Err(PaymentError::Declined));
    assert_eq!(fixture.books().await.charges.len(), 1);
}

#[tokio::test]
async fn a_charge_that_was_made_is_answered_though_the_threshold_has_sunk() {
    let fixture = Fixture::new().await;
    let first = fixture.shop.charge(attempt("k", 1), order(), 5_000).await.unwrap();
    let stricter = Rules { decline_over: 100, ..RULES };
    let shop = SqliteShop::open(&fixture.path(), stricter).await.unwrap();
    assert_eq!(shop.charge(attempt("k", 2), order(), 5_000).await, Ok(first));
}

#[tokio::test]
async fn a_refund_pays_back_once_however_often_it_is_asked() {
    let fixture = Fixture::new().await;
    fixture.shop.charge(attempt("k", 1), order(), 1177).await.unwrap();
    fixture.shop.refund(attempt("k/undo", 1), order()).await.unwrap();
    fixture.shop.refund(attempt("k/undo", 2), order()).await.unwrap();
    assert!(fixture.books().await.charges[0].refunded);
    let conn = Connection::open(fixture.path()).unwrap();
    let refunds: (i64, i64) =
        conn.query_row("SELECT count(*), sum(cents) FROM refunds", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(refunds, (1, 1177));
}

#[tokio::test]
async fn a_charge_that_comes_after_its_refund_is_refused() {
    let fixture = Fixture::new().await;
    fixture.shop.refund(attempt("k/undo", 1), order()).await.unwrap();
    let late = fixture.shop.charge(attempt("k", 1), order(), 1177).await;
    assert_eq!(late, Err(PaymentError::Refunded));
    assert_eq!(fixture.books().await.charges, []);
}

#[tokio::test]
async fn a_repeated_mail_is_sent_once() {
    let fixture = Fixture::new().await;
    fixture.shop.send(attempt("k", 1), mail(MailKind::Confirmation)).await.unwrap();
    fixture.shop.send(attempt("k", 2), mail(MailKind::Confirmation)).await.unwrap();
    fixture.shop.send(attempt("n", 1), mail(MailKind::FailureNotice)).await.unwrap();
    let kinds: Vec<_> = fixture.books().await.mails.iter().map(|mail| mail.kind).collect();
    assert_eq!(kinds, [MailKind::Confirmation, MailKind::FailureNotice]);
}

#[tokio::test]
async fn every_attempt_is_logged_in_order_also_one_that_is_refused() {
    let fixture = Fixture::new().await;
    fixture.shop.log(attempt("a", 1)).await.unwrap();
    assert!(fixture.shop.charge(attempt("b", 1), order(), 99_999).await.is_err());
    fixture.shop.send(attempt("a", 2), mail(MailKind::Confirmation)).await.unwrap();
    let expected = [(1, "a".to_owned(), 1), (2, "b".to_owned(), 1), (3, "a".to_owned(), 2)];
    assert_eq!(logged(&fixture.path()), expected);
    assert_eq!(fixture.shop.repeated_attempts().await, Ok(1));
}

#[tokio::test]
async fn a_shop_that_is_opened_again_keeps_its_stock() {
    let fixture = Fixture::new().await;
    fixture.shop.reserve(attempt("k", 1), order(), sku(), 3).await.unwrap();
    let path = fixture.path();
    drop(fixture.shop);
    let shop = SqliteShop::open(&path, RULES).await.unwrap();
    let books = shop.books().await.unwrap();
    assert_eq!(books.stock.len(), 1000);
    assert_eq!(books.stock.iter().find(|line| line.sku == "CD-7").unwrap().available, statements::INITIAL_STOCK - 3);
}
