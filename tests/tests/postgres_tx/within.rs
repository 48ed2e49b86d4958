//! Runs that are started if, and only if, a user's own transaction commits.

use saga_postgres::PostgresTx;
use saga_runtime::layer::{Service as _, Start, StartService};
use saga_runtime::prelude::*;
use saga_runtime::{Client, ClientError};
use saga_store::Store;
use saga_tests::{Act, around};

use crate::bank::{Bank, BankError, ClientOf, Failure, pay, session};

#[tokio::test]
async fn a_run_starts_if_the_transaction_commits() {
    let bank = Bank::open().await;
    let store = bank.store().await;
    let engine = bank.engine_with(&store, |builder| builder).await;
    let mut tx = store.begin().await.unwrap();
    tx.execute(&format!("UPDATE {} SET cents = 1000", bank.table), &[]).await.unwrap();
    let run = engine.client().start(pay(bank.table.clone(), 30)).id("P-1").within(&mut tx).await.unwrap();
    assert!(run.is_new());
    assert!(store.get(run.id()).await.unwrap().is_none());
    tx.commit().await.unwrap();
    assert_eq!(run.result().await.unwrap(), 970);
}

#[tokio::test]
async fn a_transaction_that_is_rolled_back_leaves_nothing() {
    let bank = Bank::open().await;
    let store = bank.store().await;
    let client = Client::new(store.clone());
    for dropped in [true, false] {
        let mut tx = store.begin().await.unwrap();
        let run = client.start(pay(bank.table.clone(), 30)).id("P-1").within(&mut tx).await.unwrap();
        assert!(run.is_new());
        if dropped { drop(tx) } else { tx.roll_back().await }
    }
    let rows = "runs live ready journal inbox attributes blobs".split(' ');
    for table in rows {
        let sql = format!("SELECT count(*) FROM {}.{table}", bank.schema);
        assert_eq!(bank.session.query_one(&sql, &[]).await.unwrap().get::<_, i64>(0), 0, "{table}");
    }
}

#[tokio::test]
async fn a_transaction_of_any_connection_will_do_whatever_its_search_path() {
    let bank = Bank::open().await;
    let engine = bank.engine().await;
    let mut own = session().await;
    own.batch_execute("SET search_path = pg_catalog").await.unwrap();
    let mut tx = own.transaction().await.unwrap();
    tx.batch_execute("SET LOCAL lock_timeout = '7s'").await.unwrap();
    let start = || engine.client().start(pay(bank.table.clone(), 30)).id("P-1").attribute("shop", "berlin");
    assert!(start().within(&mut tx).await.unwrap().is_new());
    let run = start().within(&mut tx).await.unwrap();
    assert!(!run.is_new());
    // What the user has set stays.
    let limit: String = tx.query_one("SHOW lock_timeout", &[]).await.unwrap().get(0);
    assert_eq!(limit, "7s");
    tx.commit().await.unwrap();
    run.committed();
    assert_eq!(run.result().await.unwrap(), 70);
}

#[tokio::test]
async fn an_id_that_an_open_transaction_has_started_stalls_nobody_else() {
    let bank = Bank::open().await;
    let store = bank.store().await;
    let engine = bank.engine_with(&store, |builder| builder).await;
    let mut own = session().await;
    let mut tx = own.transaction().await.unwrap();
    let held = engine.client().start(pay(bank.table.clone(), 30)).id("held").within(&mut tx).await.unwrap();
    let client = engine.client().clone();
    let table = bank.table.clone();
    let same = tokio::spawn(async move { client.start(pay(table, 30)).id("held").await });
    // Other starts, and the commits of their runs, go on.
    for number in 0..5 {
        bank.start(&engine, &format!("P-{number}")).await.result().await.unwrap();
    }
    tx.commit().await.unwrap();
    held.committed();
    // Who came for the same id has waited for it, or was told to come again.
    match same.await.unwrap() {
        Ok(run) => assert!(!run.is_new()),
        Err(error) => assert!(error.to_string().contains("held by a transaction"), "{error}"),
    }
    assert_eq!(held.result().await.unwrap(), 100 - 6 * 30);
}

#[activity(transaction, timeout = "20s", retry(initial = "1ms", max = "2ms"))]
async fn order(
    #[transaction] tx: &mut PostgresTx<'_>,
    #[state] client: &ClientOf,
    #[state] world: &saga_tests::World,
    #[context] cx: &ActivityContext,
    table: String,
) -> Result<String, BankError> {
    let id = format!("{}-payment", cx.run_id());
    let client = client.0.get().expect("the test has set it");
    let started = client.start(pay(table, 30)).id(&id).within(tx).await;
    started.map_err(|error| BankError::Sql(error.to_string()))?;
    world.attempt(cx, "order").await?;
    Ok(id)
}

#[workflow]
async fn orders(table: String) -> Result<String, Failure> {
    Ok(order(table).await?)
}

#[tokio::test]
async fn a_step_starts_a_run_if_it_succeeds() {
    let bank = Bank::open().await;
    bank.world.plan("order", [Act::Lose, Act::Panic]);
    let store = bank.store().await;
    assert!(bank.client.0.set(Client::new(store.clone())).is_ok());
    let engine = bank.engine_with(&store, |builder| builder).await;
    let id = engine.client().start(orders(bank.table.clone())).id("O-1").await.unwrap().result().await.unwrap();
    let payment = engine.client().attach::<pay>(&id).await.unwrap();
    assert_eq!(payment.result().await.unwrap(), 70);
    assert_eq!(bank.world.attempts("order").len(), 3);
}

#[tokio::test]
async fn a_client_of_another_kind_of_store_is_told_so() {
    let bank = Bank::open().await;
    let mut tx = bank.store().await.begin().await.unwrap();
    let client = Client::new(MemoryStore::new());
    let error = client.start(pay(bank.table.clone(), 30)).within(&mut tx).await.unwrap_err();
    assert!(error.to_string().contains("\"memory\" store cannot be started within"), "{error}");
    // The transaction is as it was.
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_start_within_a_transaction_passes_the_layers_of_its_client() {
    let bank = Bank::open().await;
    let store = bank.store().await;
    let refuses = around(|mut inner: StartService, mut start: Start| async move {
        if start.lane().is_none() {
            return Err("no lane".into());
        }
        start.set_priority(7);
        Ok(inner.call(start).await?)
    });
    let client = Client::new(store.clone()).layer(refuses);
    let mut tx = store.begin().await.unwrap();
    let start = || client.start(pay(bank.table.clone(), 30)).id("P-1");
    let error = start().within(&mut tx).await.unwrap_err();
    assert!(matches!(error, ClientError::Layer { started: Some(false), .. }), "{error}");
    let run = start().lane("berlin").within(&mut tx).await.unwrap();
    assert!(run.is_new() && store.get(run.id()).await.unwrap().is_none());
    tx.commit().await.unwrap();
    let view = run.view().await.unwrap();
    assert_eq!((view.lane.as_str(), view.priority), ("berlin", 7));
}

#[tokio::test]
async fn a_layer_that_repeats_a_start_within_a_transaction_starts_one_run() {
    let bank = Bank::open().await;
    let store = bank.store().await;
    let twice = around(|mut inner: StartService, start: Start| async move {
        let first = inner.call(start.clone()).await?;
        assert_eq!(inner.call(start).await?, first);
        Ok(first)
    });
    let mut tx = store.begin().await.unwrap();
    let run = Client::new(store.clone()).layer(twice).start(pay(bank.table.clone(), 30)).within(&mut tx).await.unwrap();
    assert!(run.is_new());
    tx.commit().await.unwrap();
    let query = saga_store::Query { limit: 10, ..saga_store::Query::default() };
    assert_eq!(store.list(&query).await.unwrap().runs.len(), 1);
}
