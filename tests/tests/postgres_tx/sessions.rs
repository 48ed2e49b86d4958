//! What a session hands from one transaction to the next: its limits, its statements, and a
//! transaction that the message which commits has begun for whoever waits.

use std::time::Duration;

use futures_util::future::try_join_all;
use saga_postgres::{PostgresTx, tokio_postgres};
use saga_runtime::prelude::*;

use crate::bank::{Bank, BankError, Failure};

/// What takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);

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
    let sql = "SELECT current_setting('statement_timeout') || ' ' || current_setting('transaction_read_only')";
    let ran = |id: usize| {
        let client = engine.client().clone();
        async move { client.start(both(sql.to_owned())).id(format!("B-{id}")).await?.result().await }
    };
    let told = ["7s off", "9s off", "9s off", "7s off", "7s off"];
    assert_eq!(ran(0).await.unwrap(), told, "alone");
    // They wait for one session: some find a transaction that the one before has begun.
    for one in try_join_all((1..12).map(ran)).await.unwrap() {
        assert_eq!(one, told, "beside others");
    }
}

/// The transaction that waits for this lock of the test's: its session, and the statement.
async fn waits(session: &tokio_postgres::Client, lock: i64) -> (i32, String) {
    let sql = "SELECT a.pid, a.query FROM pg_locks l JOIN pg_stat_activity a USING (pid)
        WHERE l.locktype = 'advisory' AND NOT l.granted AND (l.classid::bigint << 32) + l.objid::bigint = $1";
    let looks = async {
        loop {
            if let Some(row) = session.query_opt(sql, &[&lock]).await.unwrap() {
                break (row.get(0), row.get(1));
            }
        }
    };
    tokio::time::timeout(PATIENCE, looks).await.expect("it commits")
}

/// What a session does in the end: it is idle, or gone.
async fn end_of(session: &tokio_postgres::Client, pid: i32) -> Option<String> {
    let sql = "SELECT state FROM pg_stat_activity WHERE pid = $1";
    let looks = async {
        loop {
            let state = session.query_opt(sql, &[&pid]).await.unwrap().map(|row| row.get::<_, String>(0));
            if state.as_deref().is_none_or(|state| state == "idle") {
                break state;
            }
        }
    };
    tokio::time::timeout(PATIENCE, looks).await.expect("the server ends it")
}

#[tokio::test]
async fn a_transaction_that_was_begun_for_who_waits_is_given_up_if_nobody_waits_any_more() {
    let bank = Bank::open().await;
    let engine = bank.engine().await;
    bank.settle(&engine).await;
    // The commit of a step waits until the test lets it go on.
    let lock = "SELECT ('x' || md5($1))::bit(48)::bigint";
    let lock: i64 = bank.session.query_one(lock, &[&bank.table]).await.unwrap().get(0);
    let slow = format!(
        "CREATE FUNCTION {0}_waits() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_advisory_xact_lock({lock}); RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER waits AFTER UPDATE ON {0} DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION {0}_waits();
         SELECT pg_advisory_lock({lock})",
        bank.table
    );
    bank.session.batch_execute(&slow).await.unwrap();
    let (first, second) = bank.one_waits_for_the_other(&engine).await;
    bank.world.open("debit");
    let (pid, statement) = waits(&bank.session, lock).await;
    assert_eq!(statement, "COMMIT; BEGIN READ WRITE", "the second waits for the session");
    second.cancel().await.unwrap();
    // The run hears of it where it is, in the middle of a step: not when what is owned is next looked through.
    let outcome = tokio::time::timeout(Duration::from_secs(20), second.outcome()).await;
    assert_eq!(outcome.expect("a cancel is heard at once").unwrap(), Outcome::Cancelled);
    bank.session.batch_execute(&format!("SELECT pg_advisory_unlock({lock})")).await.unwrap();
    assert_eq!(first.result().await.unwrap(), 10);
    assert_eq!(end_of(&bank.session, pid).await.as_deref(), Some("idle"), "no transaction is left open");
    // The one session serves the next.
    assert_eq!(bank.start(&engine, "P-3").await.result().await.unwrap(), -20);
}

/// Writes what cannot be committed, or can.
#[activity(transaction, timeout = "7s")]
async fn refers(#[transaction] tx: &mut PostgresTx<'_>, table: String, key: i64) -> Result<String, BankError> {
    tx.execute(&format!("INSERT INTO {table}_refs VALUES ($1)"), &[&key]).await?;
    Ok("written".to_owned())
}

#[workflow]
async fn refer(table: String, key: i64) -> Result<String, Failure> {
    Ok(refers(table, key).await?)
}

#[tokio::test]
async fn a_commit_that_fails_takes_nothing_from_who_waits_for_the_session() {
    let bank = Bank::open().await;
    let create = format!(
        "CREATE TABLE {0}_keys (key bigint PRIMARY KEY); INSERT INTO {0}_keys VALUES (0);
         CREATE TABLE {0}_refs (key bigint REFERENCES {0}_keys DEFERRABLE INITIALLY DEFERRED)",
        bank.table
    );
    bank.session.batch_execute(&create).await.unwrap();
    let engine = bank.engine().await;
    let ran = |number: i64| {
        let (client, table) = (engine.client().clone(), bank.table.clone());
        // Each third refers to what is not there.
        async move { client.start(refer(table, i64::from(number % 3 == 2))).await?.outcome().await }
    };
    let outcomes = try_join_all((0..24).map(ran)).await.unwrap();
    for (number, outcome) in outcomes.iter().enumerate() {
        match outcome {
            Outcome::Completed(_) => assert_ne!(number % 3, 2),
            Outcome::Failed(error) => assert!(error.to_string().contains("foreign key") && number % 3 == 2, "{error}"),
            other => panic!("{other:?}"),
        }
    }
    let rows = format!("SELECT count(*) FROM {}_refs", bank.table);
    assert_eq!(bank.session.query_one(&rows, &[]).await.unwrap().get::<_, i64>(0), 16);
}

#[workflow]
pub(crate) async fn look(sql: String) -> Result<String, Failure> {
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
