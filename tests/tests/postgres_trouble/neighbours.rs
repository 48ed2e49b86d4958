//! One run that is wrong, or in the way, stalls no other.

use futures_util::future::join_all;
use saga_postgres::PostgresStore;

use crate::shop::{Shop, two_steps};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_the_server_refuses_fails_alone() {
    let shop = Shop::open().await;
    let engine = shop.engine().await;
    // All at once, so that they share statements.
    let starts = (0..40).map(|number| {
        let value = if number == 17 { "a\0b" } else { "ab" };
        let start = engine.client().start(two_steps()).id(format!("ORD-{number}")).attribute("customer", value);
        async move { (number, start.await) }
    });
    for (number, started) in join_all(starts).await {
        match started {
            Ok(run) => {
                assert_ne!(number, 17);
                assert_eq!(run.result().await.unwrap(), "two!");
            }
            Err(error) => assert!(number == 17 && error.to_string().contains("0x00"), "{number}: {error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_that_an_open_transaction_starts_stalls_no_other_run() {
    let shop = Shop::open().await;
    let engine = shop.engine().await;
    let store = PostgresStore::connect(&shop.server.url()).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let held = engine.client().start(two_steps()).id("ORD-17").within(&mut tx).await.unwrap();
    let starts = (0..40).filter(|number| *number != 17).map(|number| {
        let start = engine.client().start(two_steps()).id(format!("ORD-{number}"));
        async move { start.await.unwrap().result().await.unwrap() }
    });
    let client = engine.client().clone();
    let again = tokio::spawn(async move { client.start(two_steps()).id("ORD-17").await });
    assert_eq!(join_all(starts).await.len(), 39);
    tx.commit().await.unwrap();
    held.committed();
    assert_eq!(held.result().await.unwrap(), "two!");
    // It has found the run, or was told to come again.
    match again.await.unwrap() {
        Ok(run) => assert!(!run.is_new()),
        Err(error) => assert!(error.to_string().contains("ORD-17"), "{error}"),
    }
}
