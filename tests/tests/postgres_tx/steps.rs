//! The writes of a step and its record are one transaction, however the step ends.

use std::collections::BTreeSet;

use saga_postgres::PostgresTx;
use saga_runtime::prelude::*;
use saga_tests::steps::step;
use saga_tests::{Act, World};

use crate::bank::{Bank, BankError, Failure, debit};

#[workflow]
pub(crate) async fn pay_thrice(table: String) -> Result<i64, Failure> {
    debit(table.clone(), 1).await?;
    debit(table.clone(), 2).await?;
    Ok(debit(table, 3).await?)
}

#[tokio::test]
async fn a_steps_writes_and_its_record_are_one_commit_and_one_row() {
    let bank = Bank::open().await;
    let engine = bank.engine().await;
    let run = engine.client().start(pay_thrice(bank.table.clone())).id("P-1").await.unwrap();
    assert_eq!(run.result().await.unwrap(), 94);
    assert_eq!(bank.cents().await, 94);
    assert_eq!(bank.rows("P-1").await, 3 + 2);
}

#[tokio::test]
async fn a_step_that_refuses_leaves_nothing_and_is_recorded_like_others() {
    let bank = Bank::open().await;
    bank.world.plan("debit", [Act::Decline]);
    let engine = bank.engine().await;
    let outcome = bank.start(&engine, "P-1").await.outcome().await.unwrap();
    assert_eq!(outcome, Outcome::Failed(Failure::Step(ActivityError::Failed(BankError::Declined))));
    assert_eq!(bank.cents().await, 100);
    assert!(bank.world.attempts("credit").is_empty(), "what was rolled back is not undone");
}

#[tokio::test]
async fn attempts_that_fail_or_panic_leave_nothing_and_are_repeated() {
    let bank = Bank::open().await;
    bank.world.plan("debit", [Act::Lose, Act::Panic, Act::Lose]);
    let engine = bank.engine().await;
    assert_eq!(bank.start(&engine, "P-1").await.result().await.unwrap(), 70);
    assert_eq!(bank.cents().await, 70);
    let keys: BTreeSet<_> = bank.world.attempts("debit").iter().map(|attempt| attempt.key.clone()).collect();
    assert_eq!((bank.world.attempts("debit").len(), keys.len()), (4, 1));
}

#[activity(transaction, timeout = "200ms", retry(initial = "1ms", max = "2ms"))]
async fn debit_soon(
    #[transaction] tx: &mut PostgresTx<'_>,
    #[state] world: &World,
    #[context] cx: &ActivityContext,
    table: String,
    busy: bool,
) -> Result<(), BankError> {
    tx.execute(&format!("UPDATE {table} SET cents = cents - 30"), &[]).await?;
    if busy && cx.attempt() == 1 {
        tx.query("SELECT pg_sleep(3600)", &[]).await?;
    }
    Ok(world.attempt(cx, "debit").await.map(drop)?)
}

#[workflow]
async fn pay_soon(table: String, busy: bool) -> Result<(), Failure> {
    Ok(debit_soon(table, busy).await?)
}

#[tokio::test]
async fn an_attempt_that_is_out_of_time_leaves_nothing_and_its_session_is_not_used_again() {
    let bank = Bank::open().await;
    bank.world.plan("debit", [Act::Hang]);
    let engine = bank.engine().await;
    engine.client().start(pay_soon(bank.table.clone(), false)).id("P-1").await.unwrap().result().await.unwrap();
    assert_eq!(bank.cents().await, 70);
    assert_eq!(bank.world.attempts("debit").len(), 2);
}

#[tokio::test]
async fn a_statement_that_is_out_of_time_is_cancelled_and_its_locks_are_free() {
    let bank = Bank::open().await;
    let engine = bank.engine().await;
    engine.client().start(pay_soon(bank.table.clone(), true)).id("P-1").await.unwrap().result().await.unwrap();
    assert_eq!(bank.cents().await, 70);
    bank.until_free().await;
}

#[tokio::test]
async fn a_cancel_drops_the_step_and_undoes_its_writes() {
    let bank = Bank::open().await;
    bank.world.plan("debit", [Act::Wait]);
    let engine = bank.engine().await;
    let run = bank.start(&engine, "P-1").await;
    bank.world.began("debit").await;
    run.cancel().await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Cancelled);
    bank.until_free().await;
    assert_eq!(bank.cents().await, 100);
    assert!(bank.world.attempts("credit").is_empty());
    // The one session serves the next.
    assert_eq!(bank.start(&engine, "P-2").await.result().await.unwrap(), 70);
}

#[workflow]
async fn pay_and_fail(table: String) -> Result<(), Failure> {
    debit(table.clone(), 30).await?;
    debit(table, 10).await?;
    Err(Failure::GivesUp)
}

#[tokio::test]
async fn what_was_committed_is_undone_within_transactions_too() {
    let bank = Bank::open().await;
    bank.world.plan("credit", [Act::Lose, Act::Panic]);
    let engine = bank.engine().await;
    let run = engine.client().start(pay_and_fail(bank.table.clone())).id("P-1").await.unwrap();
    assert_eq!(run.outcome().await.unwrap(), Outcome::Failed(Failure::GivesUp));
    assert_eq!(bank.cents().await, 100);
    assert_eq!(bank.world.attempts("credit").len(), 4);
}

#[workflow]
async fn say(name: String) -> Result<String, saga_tests::steps::SagaError> {
    Ok(step(name).await?)
}

#[tokio::test]
async fn a_step_that_holds_its_transaction_stalls_no_other_run() {
    let bank = Bank::open().await;
    bank.world.plan("debit", [Act::Wait]);
    let engine = bank.engine().await;
    let waits = bank.start(&engine, "P-1").await;
    bank.world.began("debit").await;
    for number in 0..20 {
        let run = engine.client().start(say("hello".to_owned())).id(format!("S-{number}")).await.unwrap();
        assert_eq!(run.result().await.unwrap(), "hello!");
    }
    // A second step waits for the only session.
    let queued = bank.start(&engine, "P-2").await;
    bank.world.open("debit");
    assert_eq!(waits.result().await.unwrap(), 70);
    assert_eq!(queued.result().await.unwrap(), 40);
}

#[workflow]
async fn pay_side_by_side(table: String) -> Result<(i64, String), Failure> {
    let (paid, said) = join!(debit(table.clone(), 30), step("beside".to_owned())).await;
    let more = debit(table, 5).await?;
    Ok((paid?.min(more), said.map_err(|_| Failure::GivesUp)?))
}

#[tokio::test]
async fn what_ends_while_a_step_waits_for_its_record_is_recorded_beside_it() {
    for order in [["open debit", "open beside"], ["open beside", "open debit"]] {
        let bank = Bank::open().await;
        bank.world.plan("debit", [Act::Wait]);
        bank.world.plan("beside", [Act::Wait]);
        let engine = bank.engine().await;
        let run = engine.client().start(pay_side_by_side(bank.table.clone())).id("P-1").await.unwrap();
        bank.world.began("debit").await;
        bank.world.began("beside").await;
        for signal in order {
            bank.world.signal(signal);
        }
        assert_eq!(run.result().await.unwrap(), (65, "beside!".to_owned()));
        let details = engine.client().show("P-1").await.unwrap();
        assert!(details.records.len() >= 4);
        assert_eq!(bank.cents().await, 65);
    }
}

#[workflow]
async fn pay_and_say(table: String) -> Result<String, Failure> {
    debit(table.clone(), 30).await?;
    let said = step("said".to_owned()).await.map_err(|_| Failure::GivesUp)?;
    debit(table, 5).await?;
    Ok(said)
}

#[tokio::test]
async fn a_run_goes_on_from_its_journal_without_taking_the_money_again() {
    let bank = Bank::open().await;
    bank.world.plan("said", [Act::Hang]);
    let engine = bank.engine().await;
    engine.client().start(pay_and_say(bank.table.clone())).id("P-1").await.unwrap();
    bank.world.began("said").await;
    drop(engine);
    bank.session.batch_execute(&format!("UPDATE {}.workers SET dead = true", bank.schema)).await.unwrap();
    let engine = bank.engine().await;
    let run = engine.client().attach::<pay_and_say>("P-1").await.unwrap();
    assert_eq!(run.result().await.unwrap(), "said!");
    assert_eq!(bank.cents().await, 65);
    assert_eq!(bank.world.attempts("debit").len(), 2);
}
