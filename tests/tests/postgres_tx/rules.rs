//! What user code may do in a transaction, and what becomes of it when it does something else.

use saga_postgres::PostgresTx;
use saga_runtime::prelude::*;
use saga_sqlite::SqliteTx;
use saga_tests::World;

use crate::bank::{Bank, BankError, Failure};

/// Sends a statement of the test's, and says what became of it.
#[activity(transaction, timeout = "20s", retry(initial = "1ms", max = "2ms", max_attempts = 2))]
async fn send(
    #[transaction] tx: &mut PostgresTx<'_>,
    table: String,
    sql: String,
    swallow: bool,
) -> Result<String, BankError> {
    tx.execute(&format!("UPDATE {table} SET cents = cents - 30"), &[]).await?;
    for sql in sql.replace('@', &table).split('|') {
        match tx.batch_execute(sql).await {
            Err(error) if !swallow => return Err(error.into()),
            _ => {}
        }
    }
    Ok("sent".to_owned())
}

#[workflow]
async fn sends(table: String, sql: String, swallow: bool) -> Result<String, Failure> {
    Ok(send(table, sql, swallow).await?)
}

#[derive(Debug, serde::Serialize, serde::Deserialize, Event)]
struct Debited;

/// Tries to send what might be taken back.
#[activity(transaction)]
async fn tells(
    #[transaction] tx: &mut PostgresTx<'_>,
    #[context] cx: &ActivityContext,
    table: String,
) -> Result<String, BankError> {
    tx.execute(&format!("UPDATE {table} SET cents = cents - 1"), &[]).await?;
    Ok(match cx.send(cx.run_id(), Debited).await {
        Ok(()) => "it was sent".to_owned(),
        Err(error) => error.to_string(),
    })
}

#[workflow]
async fn tells_itself(table: String) -> Result<String, Failure> {
    Ok(tells(table).await?)
}

#[tokio::test]
async fn an_attempt_within_a_transaction_sends_no_events() {
    let bank = Bank::open().await;
    let engine = bank.engine().await;
    let run = engine.client().start(tells_itself(bank.table.clone())).await.unwrap();
    let said = run.result().await.unwrap();
    assert!(said.contains("a transactional activity sends no events"), "{said}");
    assert!(said.contains("let the workflow `send(…)` it"), "{said}");
    assert_eq!(bank.cents().await, 99);
}

impl Bank {
    async fn sends(&self, engine: &Engine, sql: &str, swallow: bool) -> Outcome<String, Failure> {
        let run = engine.client().start(sends(self.table.clone(), sql.to_owned(), swallow)).await.unwrap();
        run.outcome().await.unwrap()
    }
}

fn message(outcome: Outcome<String, Failure>) -> String {
    match outcome {
        Outcome::Failed(error) => error.to_string(),
        other => panic!("{other:?} is no failure"),
    }
}

#[tokio::test]
async fn transaction_verbs_are_refused_and_undo_the_step() {
    let bank = Bank::open().await;
    let engine = bank.engine().await;
    for sql in ["COMMIT", "/* so */ end", "SELECT 1; ROLLBACK", "BEGIN", "PREPARE TRANSACTION 'x'"] {
        let said = message(bank.sends(&engine, sql, false).await);
        assert!(said.contains("return Ok to commit it"), "{sql}: {said}");
        let said = message(bank.sends(&engine, sql, true).await);
        assert!(said.contains("returned Ok after a statement had failed"), "{sql}: {said}");
    }
    let said = message(bank.sends(&engine, "SET search_path = x", false).await);
    assert!(said.contains("write SET LOCAL"), "{said}");
    assert_eq!(bank.cents().await, 100);
}

#[tokio::test]
async fn savepoints_and_local_settings_are_the_users() {
    let bank = Bank::open().await;
    let engine = bank.engine().await;
    for sql in [
        "SAVEPOINT a; UPDATE @ SET cents = 0; ROLLBACK TO a",
        "SAVEPOINT b; RELEASE b",
        "SET LOCAL work_mem = '1MB'",
        "DO $$ BEGIN BEGIN PERFORM 1 / 0; EXCEPTION WHEN division_by_zero THEN NULL; END; END $$",
    ] {
        assert_eq!(bank.sends(&engine, sql, false).await, Outcome::Completed("sent".to_owned()), "{sql}");
    }
    assert_eq!(bank.cents().await, 100 - 4 * 30);
}

#[tokio::test]
async fn a_transaction_that_its_step_makes_read_only_fails_the_step() {
    let bank = Bank::open().await;
    let engine = bank.engine().await;
    let said = message(bank.sends(&engine, "SET TRANSACTION READ ONLY", false).await);
    assert!(said.contains("has made its transaction read-only"), "{said}");
    let writing = "SET TRANSACTION READ ONLY | UPDATE @ SET cents = 0";
    let said = message(bank.sends(&engine, writing, false).await);
    assert!(said.contains("cannot execute UPDATE in a read-only transaction"), "{said}");
    let said = message(bank.sends(&engine, writing, true).await);
    assert!(said.contains("returned Ok after a statement had failed"), "{said}");
    assert_eq!(bank.cents().await, 100);
}

#[tokio::test]
async fn a_commit_that_was_not_recognised_is_found_before_the_record() {
    let bank = Bank::open().await;
    let engine = bank.engine().await;
    let hidden = r"SET LOCAL standard_conforming_strings = off | SELECT '\''; COMMIT; --'";
    bank.sends(&engine, "SELECT 1", false).await;
    let said = message(bank.sends(&engine, hidden, false).await);
    assert!(said.contains("has ended the transaction itself"), "{said}");
    // Once, and not again.
    assert_eq!(bank.cents().await, 40);
}

#[tokio::test]
async fn a_constraint_that_is_checked_at_the_end_fails_the_step() {
    let bank = Bank::open().await;
    let more = format!(
        "CREATE TABLE {0}_keys (key bigint PRIMARY KEY);
         CREATE TABLE {0}_refs (key bigint REFERENCES {0}_keys DEFERRABLE INITIALLY DEFERRED)",
        bank.table
    );
    bank.session.batch_execute(&more).await.unwrap();
    let engine = bank.engine().await;
    let said = message(bank.sends(&engine, "INSERT INTO @_refs VALUES (7)", false).await);
    assert!(said.contains("foreign key constraint"), "{said}");
    assert_eq!(bank.cents().await, 100);
}

/// Says what the server does with a transaction that idles, in milliseconds.
#[activity(transaction)]
async fn idle_limit(#[transaction] tx: &mut PostgresTx<'_>) -> Result<i64, BankError> {
    let sql = "SELECT setting::int8 FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout'";
    Ok(tx.query_one(sql, &[]).await?.get(0))
}

#[workflow]
async fn idles() -> Result<i64, Failure> {
    Ok(idle_limit().await?)
}

#[tokio::test]
async fn a_transaction_that_idles_ends_before_the_lease_does() {
    let bank = Bank::open().await;
    let lease = std::time::Duration::from_secs(3);
    let store = bank.store().await;
    let engine = bank.engine_with(&store, |builder| builder.heartbeat(lease / 3, lease)).await;
    let run = engine.client().start(idles()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 2_000);
}

/// Reads, does what is planned, then writes what it has read: not to be done by two at once.
#[activity(transaction, timeout = "20s", retry(max_attempts = 1))]
async fn read_then_write(
    #[transaction] tx: &mut PostgresTx<'_>,
    #[state] world: &World,
    #[context] cx: &ActivityContext,
    table: String,
) -> Result<i64, BankError> {
    tx.batch_execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").await?;
    let cents: i64 = tx.query_one(&format!("SELECT cents FROM {table}"), &[]).await?.get(0);
    world.attempt(cx, "read").await?;
    tx.execute(&format!("UPDATE {table} SET cents = $1"), &[&(cents - 30)]).await?;
    Ok(cents)
}

#[workflow]
async fn reads_then_writes(table: String) -> Result<i64, Failure> {
    Ok(read_then_write(table).await?)
}

#[tokio::test]
async fn a_step_that_gives_way_to_another_transaction_is_run_again_and_that_is_no_attempt() {
    let bank = Bank::open().await;
    bank.world.plan("read", [saga_tests::Act::Wait]);
    let engine = bank.engine().await;
    let run = engine.client().start(reads_then_writes(bank.table.clone())).await.unwrap();
    bank.world.began("read").await;
    bank.session.execute(&format!("UPDATE {} SET cents = 50", bank.table), &[]).await.unwrap();
    bank.world.open("read");
    assert_eq!(run.result().await.unwrap(), 50);
    assert_eq!(bank.cents().await, 20);
    let numbers: Vec<u32> = bank.world.attempts("read").iter().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, [1, 1]);
}

/// Steps of one name, for each kind of store.
mod on_sqlite {
    use super::{BankError, SqliteTx};
    use saga_runtime::prelude::*;

    #[activity(transaction)]
    pub(super) fn kind_of_store(#[transaction] _tx: &SqliteTx<'_>) -> Result<String, BankError> {
        Ok("sqlite".to_owned())
    }
}

mod on_postgres {
    use super::{BankError, PostgresTx};
    use saga_runtime::prelude::*;

    #[activity(transaction)]
    pub(super) async fn kind_of_store(#[transaction] tx: &mut PostgresTx<'_>) -> Result<String, BankError> {
        Ok(tx.query_one("SELECT 'postgres'", &[]).await?.get(0))
    }
}

#[workflow]
async fn tells_its_kind(of_postgres: bool) -> Result<String, Failure> {
    let called = if of_postgres { on_postgres::kind_of_store().await } else { on_sqlite::kind_of_store().await };
    Ok(called?)
}

#[tokio::test]
async fn of_two_definitions_of_one_name_that_of_the_store_is_run_whichever_is_called() {
    let bank = Bank::open().await;
    let engine = bank.engine().await;
    for of_postgres in [true, false] {
        let run = engine.client().start(tells_its_kind(of_postgres)).await.unwrap();
        assert_eq!(run.result().await.unwrap(), "postgres");
    }
}

#[tokio::test]
async fn an_engine_on_another_kind_of_store_says_which_activities_it_lacks() {
    let error = Engine::builder(MemoryStore::new()).state(World::default()).start().await.unwrap_err();
    let said = error.to_string();
    assert!(said.contains("activity `debit` writes through a store's transaction"), "{said}");
    assert!(said.contains("no definition for a `memory` store"), "{said}");
}
