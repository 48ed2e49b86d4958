//! What a session hands from one transaction to the next: its limits, its statements, and a
//! transaction that the message which commits has begun for whoever waits.

use std::time::Duration;

use futures_util::future::try_join_all;
use saga_postgres::{PostgresTx, tokio_postgres};
use saga_runtime::prelude::*;
use saga_tests::Act;

use crate::bank::{Bank, BankError, Failure};

/// What its statements may take.
#[activity(transaction, timeout = "7s")]
async fn seven(#[transaction] tx: &mut PostgresTx<'_>, sql: String) -> Result<String, BankError> {
    Ok(tx.query_one(&sql, &[]).await?.get(0))
}

#[activity(transaction, timeout = "9s", retry(initial = "1ms", max = "2ms"))]
async fn nine(#[transaction] tx: &mut PostgresTx<'_>, sql: String) -> Result<String, BankError> {
    Ok(tx.query_one(&sql, &[]).await?.get(0))
}

#[workflow]
async fn both(sql: String) -> Result<Vec<String>, Failure> {
    Ok(vec![
        seven(sql.clone()).await?,
        nine(sql.clone()).await?,
        nine(sql.clone()).await?,
        seven(sql.clone()).await?,
        seven(sql).await?,
    ])
}

#[tokio::test]
async fn each_transaction_has_the_limits_of_its_own_step() {
    let bank = Bank::open().await;
    let engine = bank.engine().await;
    let sql = "SELECT current_setting('statement_timeout') || ' ' || current_setting('transaction_deferrable')";
    let ran = |id: usize| {
        let client = engine.client().clone();
        async move { client.start(both(sql.to_owned())).id(format!("B-{id}")).await?.result().await }
    };
    let told = ["7s on", "9s on", "9s on", "7s on", "7s on"];
    assert_eq!(ran(0).await.unwrap(), told, "alone");
    // They wait for one session: each finds a transaction that the one before has begun.
    for one in try_join_all((1..8).map(ran)).await.unwrap() {
        assert_eq!(one, told, "beside others");
    }
}

/// The transaction that waits for this lock of the test's: its session, and the statement.
async fn waits(session: &tokio_postgres::Client, lock: i64) -> (i32, String) {
    let sql = "SELECT a.pid, a.query FROM pg_locks l JOIN pg_stat_activity a USING (pid)
        WHERE l.locktype = 'advisory' AND NOT l.granted AND (l.classid::bigint << 32) + l.objid::bigint = $1";
    loop {
        if let Some(row) = session.query_opt(sql, &[&lock]).await.unwrap() {
            return (row.get(0), row.get(1));
        }
        tokio::task::yield_now().await;
    }
}

/// What a session does, once it has answered all that it was sent.
async fn state(session: &tokio_postgres::Client, pid: i32) -> Option<String> {
    let sql = "SELECT state FROM pg_stat_activity WHERE pid = $1";
    for _ in 0..200 {
        let state = session.query_opt(sql, &[&pid]).await.unwrap().map(|row| row.get::<_, String>(0));
        if state.as_deref() == Some("idle") {
            return state;
        }
    }
    session.query_opt(sql, &[&pid]).await.unwrap().map(|row| row.get(0))
}

#[tokio::test]
async fn a_transaction_that_was_begun_for_who_waits_is_given_up_if_nobody_waits_any_more() {
    let bank = Bank::open().await;
    let engine = bank.engine().await;
    // The commit of a step waits until the test lets it go on.
    let lock: i64 = bank.session.query_one("SELECT ('x' || md5($1))::bit(48)::bigint", &[&bank.table]).await.unwrap().get(0);
    let slow = format!(
        "CREATE FUNCTION {0}_waits() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_advisory_xact_lock({lock}); RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER waits AFTER UPDATE ON {0} DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION {0}_waits();
         SELECT pg_advisory_lock({lock})",
        bank.table
    );
    bank.session.batch_execute(&slow).await.unwrap();
    bank.world.plan("debit", [Act::Wait]);
    let first = bank.start(&engine, "P-1").await;
    bank.world.began("debit").await;
    let second = bank.start(&engine, "P-2").await;
    // It gets as far as to where it waits for the session: nothing on its way there is waited for.
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    bank.world.open("debit");
    let (pid, statement) = waits(&bank.session, lock).await;
    assert_eq!(statement, "COMMIT; BEGIN DEFERRABLE", "the second waits for the session");
    second.cancel().await.unwrap();
    // The run hears of it where it is, in the middle of a step: not when what is owned is next looked through.
    let outcome = tokio::time::timeout(Duration::from_secs(20), second.outcome()).await;
    assert_eq!(outcome.expect("a cancel is heard at once").unwrap(), Outcome::Cancelled);
    let free = format!("SELECT pg_advisory_unlock({lock})");
    bank.session.batch_execute(&free).await.unwrap();
    assert_eq!(first.result().await.unwrap(), 70);
    assert_eq!(state(&bank.session, pid).await.as_deref(), Some("idle"), "no transaction is left open");
    // The one session serves the next.
    assert_eq!(bank.start(&engine, "P-3").await.result().await.unwrap(), 40);
}

#[workflow]
async fn look(sql: String) -> Result<String, Failure> {
    Ok(nine(sql).await?)
}

#[tokio::test]
async fn a_statement_that_no_longer_fits_its_table_is_prepared_anew() {
    let bank = Bank::open().await;
    let engine = bank.engine().await;
    let create = format!("CREATE TABLE {0}_notes AS SELECT 'first'::text AS note", bank.table);
    bank.session.batch_execute(&create).await.unwrap();
    let sql = format!("SELECT * FROM {}_notes", bank.table);
    assert_eq!(engine.client().start(look(sql.clone())).await.unwrap().result().await.unwrap(), "first");
    let alter = format!("ALTER TABLE {0}_notes ADD COLUMN more text", bank.table);
    bank.session.batch_execute(&alter).await.unwrap();
    // The server refuses it once, and the attempt is repeated.
    assert_eq!(engine.client().start(look(sql)).await.unwrap().result().await.unwrap(), "first");
}
