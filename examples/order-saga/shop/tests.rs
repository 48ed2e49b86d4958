//! One key, one effect: whatever is repeated, late or lost, on each database.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use saga_sqlite::rusqlite::Connection;
use tempfile::TempDir;

use super::*;

const RULES: Rules = Rules { max_quantity: 10, decline_over: 10_000 };

macro_rules! on_each_database {
    ($($test:ident,)*) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::Fixture::new(super::Place::file()).await).await;
            })*
        }

        mod postgres {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::Fixture::new(super::Place::schema()).await).await;
            })*
        }
    };
}

on_each_database! {
    a_repeated_reservation_takes_stock_once_and_gives_the_same_answer,
    a_repeated_release_gives_stock_back_once,
    a_reservation_that_comes_after_its_release_is_refused_and_takes_nothing,
    a_reservation_attempt_that_lands_after_the_release_does_not_take_stock_again,
    stock_that_is_not_there_is_not_reserved,
    availability_ends_above_the_largest_quantity,
    a_repeated_charge_charges_once_and_gives_the_same_answer,
    a_card_is_declined_above_the_threshold_only,
    a_charge_that_was_made_is_answered_though_the_threshold_has_sunk,
    a_refund_pays_back_once_however_often_it_is_asked,
    a_charge_that_comes_after_its_refund_is_refused,
    a_repeated_mail_is_sent_once,
    every_attempt_is_logged_in_order_also_one_that_is_refused,
    a_shop_that_is_opened_again_keeps_its_stock,
    attempts_at_the_same_time_have_one_effect_and_an_undo_among_them_wins,
}

/// Where a test has its shop.
enum Place {
    File(TempDir),
    Schema(String),
}

impl Place {
    fn file() -> Self {
        Self::File(tempfile::tempdir().unwrap())
    }

    fn schema() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        Self::Schema(format!("shop_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)))
    }

    async fn open(&self, rules: Rules) -> Arc<dyn Shop> {
        match self {
            Self::File(folder) => Arc::new(SqliteShop::open(&path(folder), rules).await.unwrap()),
            Self::Schema(schema) => {
                let shop = PostgresShop::connect(&saga_test_server::shared().url(), schema, rules).unwrap();
                shop.create().await.unwrap();
                Arc::new(shop)
            }
        }
    }

    /// The only row of a query for whole numbers, or all rows one after the other.
    async fn numbers(&self, sql: &str) -> Vec<i64> {
        match self {
            Self::File(folder) => {
                let conn = Connection::open(path(folder)).unwrap();
                let mut rows = conn.prepare(sql).unwrap();
                rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
            }
            Self::Schema(schema) => {
                let (client, connection) =
                    tokio_postgres::connect(&saga_test_server::shared().url(), tokio_postgres::NoTls).await.unwrap();
                tokio::spawn(connection);
                client.batch_execute(&format!("SET search_path = {schema}")).await.unwrap();
                client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
            }
        }
    }
}

fn path(folder: &TempDir) -> PathBuf {
    folder.path().join("shop.db")
}

struct Fixture {
    shop: Arc<dyn Shop>,
    place: Place,
}

impl Fixture {
    async fn new(place: Place) -> Self {
        Self { shop: place.open(RULES).await, place }
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

async fn a_repeated_reservation_takes_stock_once_and_gives_the_same_answer(fixture: Fixture) {
    let first = fixture.shop.reserve(attempt("k", 1), order(), sku(), 3).await.unwrap();
    let again = fixture.shop.reserve(attempt("k", 2), order(), sku(), 3).await.unwrap();
    assert_eq!(first, again);
    assert_eq!(fixture.stock("CD-7").await, INITIAL_STOCK - 3);
}

async fn a_repeated_release_gives_stock_back_once(fixture: Fixture) {
    let reservation = fixture.shop.reserve(attempt("k", 1), order(), sku(), 3).await.unwrap();
    fixture.shop.release(attempt("k/undo", 1), reservation.id.clone()).await.unwrap();
    fixture.shop.release(attempt("k/undo", 2), reservation.id).await.unwrap();
    assert_eq!(fixture.stock("CD-7").await, INITIAL_STOCK);
    assert!(fixture.books().await.holdings.iter().all(|holding| holding.released));
}

async fn a_reservation_that_comes_after_its_release_is_refused_and_takes_nothing(fixture: Fixture) {
    fixture.shop.release(attempt("k/undo", 1), ReservationId("k".to_owned())).await.unwrap();
    let late = fixture.shop.reserve(attempt("k", 1), order(), sku(), 3).await;
    assert_eq!(late, Err(InventoryError::Released));
    assert_eq!(fixture.stock("CD-7").await, INITIAL_STOCK);
    assert_eq!(fixture.books().await.holdings, []);
}

async fn a_reservation_attempt_that_lands_after_the_release_does_not_take_stock_again(fixture: Fixture) {
    let reservation = fixture.shop.reserve(attempt("k", 2), order(), sku(), 3).await.unwrap();
    fixture.shop.release(attempt("k/undo", 1), reservation.id).await.unwrap();
    let late = fixture.shop.reserve(attempt("k", 1), order(), sku(), 3).await;
    assert_eq!(late, Err(InventoryError::Released));
    assert_eq!(fixture.stock("CD-7").await, INITIAL_STOCK);
}

async fn stock_that_is_not_there_is_not_reserved(fixture: Fixture) {
    let nothing = Sku("CD-none".to_owned());
    let refused = fixture.shop.reserve(attempt("k", 1), order(), nothing.clone(), 1).await;
    assert_eq!(refused, Err(InventoryError::OutOfStock));
    assert_eq!(fixture.shop.check(attempt("c", 1), nothing, 1).await, Ok(false));
}

async fn availability_ends_above_the_largest_quantity(fixture: Fixture) {
    assert_eq!(fixture.shop.check(attempt("a", 1), sku(), 10).await, Ok(true));
    assert_eq!(fixture.shop.check(attempt("b", 1), sku(), 11).await, Ok(false));
}

async fn a_repeated_charge_charges_once_and_gives_the_same_answer(fixture: Fixture) {
    let first = fixture.shop.charge(attempt("k", 1), order(), 1177).await.unwrap();
    let again = fixture.shop.charge(attempt("k", 2), order(), 1177).await.unwrap();
    assert_eq!(first, again);
    let charges = fixture.books().await.charges;
    assert_eq!(charges, [Charge { order: "ORD-1".to_owned(), cents: 1177, refunded: false }]);
}

async fn a_card_is_declined_above_the_threshold_only(fixture: Fixture) {
    assert!(fixture.shop.charge(attempt("a", 1), order(), 10_000).await.is_ok());
    let declined = fixture.shop.charge(attempt("b", 1), order(), 10_001).await;
    assert_eq!(declined, Err(PaymentError::Declined));
    assert_eq!(fixture.books().await.charges.len(), 1);
}

async fn a_charge_that_was_made_is_answered_though_the_threshold_has_sunk(fixture: Fixture) {
    let first = fixture.shop.charge(attempt("k", 1), order(), 5_000).await.unwrap();
    let stricter = Rules { decline_over: 100, ..RULES };
    let shop = fixture.place.open(stricter).await;
    assert_eq!(shop.charge(attempt("k", 2), order(), 5_000).await, Ok(first));
}

async fn a_refund_pays_back_once_however_often_it_is_asked(fixture: Fixture) {
    fixture.shop.charge(attempt("k", 1), order(), 1177).await.unwrap();
    fixture.shop.refund(attempt("k/undo", 1), order()).await.unwrap();
    fixture.shop.refund(attempt("k/undo", 2), order()).await.unwrap();
    assert!(fixture.books().await.charges[0].refunded);
    assert_eq!(fixture.place.numbers("SELECT cents FROM refunds").await, [1177]);
}

async fn a_charge_that_comes_after_its_refund_is_refused(fixture: Fixture) {
    fixture.shop.refund(attempt("k/undo", 1), order()).await.unwrap();
    let late = fixture.shop.charge(attempt("k", 1), order(), 1177).await;
    assert_eq!(late, Err(PaymentError::Refunded));
    assert_eq!(fixture.books().await.charges, []);
}

async fn a_repeated_mail_is_sent_once(fixture: Fixture) {
    fixture.shop.send(attempt("k", 1), mail(MailKind::Confirmation)).await.unwrap();
    fixture.shop.send(attempt("k", 2), mail(MailKind::Confirmation)).await.unwrap();
    fixture.shop.send(attempt("n", 1), mail(MailKind::FailureNotice)).await.unwrap();
    let kinds: Vec<_> = fixture.books().await.mails.iter().map(|mail| mail.kind).collect();
    assert_eq!(kinds, [MailKind::Confirmation, MailKind::FailureNotice]);
}

async fn every_attempt_is_logged_in_order_also_one_that_is_refused(fixture: Fixture) {
    fixture.shop.log(attempt("a", 1)).await.unwrap();
    assert!(fixture.shop.charge(attempt("b", 1), order(), 99_999).await.is_err());
    fixture.shop.send(attempt("a", 2), mail(MailKind::Confirmation)).await.unwrap();
    let as_logged = "SELECT CASE key WHEN 'a' THEN 10 ELSE 20 END + attempt FROM attempts ORDER BY seq";
    assert_eq!(fixture.place.numbers(as_logged).await, [11, 21, 12]);
    assert_eq!(fixture.shop.repeated_attempts().await, Ok(1));
}

async fn a_shop_that_is_opened_again_keeps_its_stock(fixture: Fixture) {
    fixture.shop.reserve(attempt("k", 1), order(), sku(), 3).await.unwrap();
    drop(fixture.shop);
    let shop = fixture.place.open(RULES).await;
    let books = shop.books().await.unwrap();
    assert_eq!(books.stock.len(), 1000);
    assert_eq!(books.stock.iter().find(|line| line.sku == "CD-7").unwrap().available, INITIAL_STOCK - 3);
}

async fn attempts_at_the_same_time_have_one_effect_and_an_undo_among_them_wins(fixture: Fixture) {
    let shop = &fixture.shop;
    for round in 0..50 {
        let (reserved, charged) = (format!("r{round}"), format!("c{round}"));
        let order = || OrderId(format!("ORD-{round}"));
        let id = ReservationId(reserved.clone());
        drop(tokio::join!(
            shop.reserve(attempt(&reserved, 1), order(), sku(), 3),
            shop.reserve(attempt(&reserved, 2), order(), sku(), 3),
            shop.release(attempt(&format!("{reserved}/undo"), 1), id),
            shop.charge(attempt(&charged, 1), order(), 1177),
            shop.charge(attempt(&charged, 2), order(), 1177),
            shop.refund(attempt(&format!("{charged}/undo"), 1), order()),
        ));
    }
    assert_eq!(fixture.stock("CD-7").await, INITIAL_STOCK);
    let books = fixture.books().await;
    assert!(books.holdings.iter().all(|holding| holding.released), "{books:?}");
    assert!(books.charges.iter().all(|charge| charge.refunded), "{books:?}");
    assert!(books.charges.len() <= 50);
}
