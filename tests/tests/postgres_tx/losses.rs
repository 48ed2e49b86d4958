//! A step whose worker, server or answer is lost happens once.

use std::time::Duration;

use saga_runtime::prelude::*;
use saga_store::conformance::lab::Lab;
use saga_store::wire::Entry;
use saga_store::{ErrorKind, Store};
use saga_test_server::shared;
use saga_tests::Act;
use saga_tests::steps::{SagaError, step};

use crate::bank::{Bank, pay, session};
use crate::proxy::{Cut, Proxy};
use crate::sessions::look;
use crate::steps::pay_thrice;

#[tokio::test]
async fn the_late_commit_of_a_worker_whose_run_was_taken_over_does_not_land() {
    let bank = Bank::open().await;
    bank.world.plan("debit", [Act::Wait]);
    let store = bank.store().await;
    let engine = bank.engine_with(&store, |builder| builder).await;
    let run = bank.start(&engine, "P-1").await;
    bank.world.began("debit").await;

    // Another worker takes it over while the code of the first is in the middle.
    let lab = Lab::new(bank.store().await);
    let next = lab.worker().await;
    let peers = lab.store.beat(next).await.unwrap().peers;
    let adopted = lab.store.adopt(peers[0].incarnation, next, 10).await.unwrap();
    assert_eq!(adopted.len(), 1);
    let place = u64::try_from(bank.rows("P-1").await).unwrap();
    lab.apply(lab.append(run.execution(), next, place)).await;

    bank.world.open("debit");
    bank.until_free().await;
    assert_eq!(bank.cents().await, 100, "neither the writes");
    assert_eq!(bank.rows("P-1").await, i64::try_from(place).unwrap() + 1, "nor the record");
}

#[tokio::test]
async fn a_step_whose_snapshot_is_older_than_the_purge_of_its_run_leaves_nothing() {
    let bank = Bank::open().await;
    bank.world.plan("debit", [Act::Wait]);
    let url = shared().url();
    let more = if url.contains('?') { '&' } else { '?' };
    let store = bank.store_at(&format!("{url}{more}options=-cdefault_transaction_isolation%3Dserializable")).await;
    let engine = bank.engine_with(&store, |builder| builder).await;
    let run = bank.start(&engine, "P-1").await;
    bank.world.began("debit").await;
    for table in ["journal", "live", "runs"] {
        let purge = format!("DELETE FROM {}.{table} WHERE execution = '{}'", bank.schema, run.execution());
        bank.session.execute(&purge, &[]).await.unwrap();
    }
    bank.world.open("debit");
    bank.until_free().await;
    assert_eq!(bank.cents().await, 100, "neither the writes");
    let rows = format!("SELECT count(*) FROM {}.journal", bank.schema);
    assert_eq!(bank.session.query_one(&rows, &[]).await.unwrap().get::<_, i64>(0), 0, "nor the record");
}

#[tokio::test]
async fn a_step_does_not_land_behind_a_record_that_a_failover_has_lost() {
    let bank = Bank::open().await;
    bank.world.plan("debit", [Act::Succeed, Act::Wait]);
    let engine = bank.engine().await;
    let run = engine.client().start(pay_thrice(bank.table.clone())).id("P-1").await.unwrap();
    bank.world.began("debit").await;
    bank.world.began("debit").await;
    // Of what was lost only the record: the steps that are made again are seen by their writes.
    let lose = format!("DELETE FROM {}.journal WHERE seq = 1", bank.schema);
    assert_eq!(bank.session.execute(&lose, &[]).await.unwrap(), 1);
    bank.world.open("debit");
    assert_eq!(run.result().await.unwrap(), 99 - 6, "it went on from what is there");
    assert_eq!(bank.rows("P-1").await, 3 + 2);
}

#[workflow]
async fn two_plain_steps() -> Result<String, SagaError> {
    step("one".to_owned()).await?;
    Ok(step("two".to_owned()).await?)
}

#[tokio::test]
async fn a_step_that_a_failover_has_lost_is_made_again_after_a_record_that_says_whose_the_run_is() {
    let bank = Bank::open().await;
    bank.world.plan("two", [Act::Wait]);
    let engine = bank.engine().await;
    let run = engine.client().start(two_plain_steps()).id("P-1").await.unwrap();
    bank.world.began("two").await;
    let lose = format!("DELETE FROM {}.journal WHERE seq = 2", bank.schema);
    assert_eq!(bank.session.execute(&lose, &[]).await.unwrap(), 1);
    bank.world.open("two");
    assert_eq!(run.result().await.unwrap(), "two!");
    assert_eq!(bank.world.attempts("one").len(), 2);
    let details = engine.client().show("P-1").await.unwrap();
    let told = details.history().unwrap().to_string();
    assert!(told.contains("held by ") && !told.contains("taken over"), "{told}");
    let entries: Vec<_> = details.records.iter().flat_map(|record| &record.entries).collect();
    let at = |is: fn(&Entry) -> bool| entries.iter().position(|entry| is(entry)).expect("the journal has it");
    // Another worker may have the run as well: the failover may have lost whose it was.
    let claimed = at(|entry| matches!(entry, Entry::Claimed(claimed) if claimed.noted == Some(true)));
    assert!(claimed < at(|entry| matches!(entry, Entry::StepEnded(_))), "{entries:?}");
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_found_in_the_journal_and_not_repeated() {
    let bank = Bank::open().await;
    let proxy = Proxy::open().await;
    let engine = bank.engine_with(&bank.store_at(&proxy.url).await, |builder| builder).await;
    bank.world.plan("debit", [Act::Wait]);
    let run = bank.start(&engine, "P-1").await;
    bank.world.began("debit").await;
    proxy.cut_next(Cut::After);
    bank.world.open("debit");
    assert_eq!(run.result().await.unwrap(), 70);
    assert!(proxy.has_cut());
    assert_eq!(bank.cents().await, 70);
    assert_eq!(bank.world.attempts("debit").len(), 1);
}

#[tokio::test]
async fn a_transaction_that_was_not_begun_writes_nothing_and_costs_no_attempt() {
    let bank = Bank::open().await;
    let proxy = Proxy::open().await;
    let engine = bank.engine_with(&bank.store_at(&proxy.url).await, |builder| builder).await;
    // With limits that are set in the transaction, that the session takes to, and that it keeps.
    for (number, left) in [70, 40, 10, -20].into_iter().enumerate() {
        if number != 1 {
            proxy.cut_next(Cut::Garbled);
        }
        assert_eq!(bank.start(&engine, &format!("P-{number}")).await.result().await.unwrap(), left);
        assert!(proxy.has_cut());
    }
    assert_eq!(bank.cents().await, -20);
    let numbers: Vec<u32> = bank.world.attempts("debit").iter().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, [1; 4]);
    // One that only reads is repeated as well.
    proxy.cut_next(Cut::Garbled);
    let only = engine.client().start(look("SELECT 'read'".to_owned())).await.unwrap();
    assert_eq!(only.result().await.unwrap(), "read");
    assert!(proxy.has_cut());
}

#[tokio::test]
async fn a_programs_own_transaction_that_was_not_begun_says_so() {
    let bank = Bank::open().await;
    let proxy = Proxy::open().await;
    let store = bank.store_at(&proxy.url).await;
    let pay = format!("UPDATE {} SET cents = 0", bank.table);
    for statement in [Some(&pay), None] {
        proxy.cut_next(Cut::Garbled);
        let tx = store.begin().await.unwrap();
        if let Some(statement) = statement {
            tx.execute(statement, &[]).await.unwrap_err();
        }
        let error = tx.commit().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("is not committed: its transaction was not begun: "), "{error}");
    }
    assert_eq!(bank.cents().await, 100);
    let tx = store.begin().await.unwrap();
    tx.execute(&pay, &[]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(bank.cents().await, 0);
}

#[tokio::test]
async fn answers_that_arrive_in_crumbs_hold_up_nothing() {
    let bank = Bank::open().await;
    let proxy = Proxy::open().await;
    let engine = bank.engine_with(&bank.store_at(&proxy.url).await, |builder| builder).await;
    proxy.cut_next(Cut::Crumbled);
    for (number, left) in [70, 40, 10, -20].into_iter().enumerate() {
        let run = bank.start(&engine, &format!("P-{number}")).await;
        let result = tokio::time::timeout(Duration::from_secs(60), run.result()).await;
        assert_eq!(result.expect("no answer waits for another to be taken").unwrap(), left);
    }
    assert_eq!(bank.world.attempts("debit").len(), 4);
}

#[tokio::test]
async fn a_lost_answer_takes_nothing_from_who_waits_for_the_session() {
    let bank = Bank::open().await;
    let proxy = Proxy::open().await;
    let engine = bank.engine_with(&bank.store_at(&proxy.url).await, |builder| builder).await;
    bank.settle(&engine).await;
    let (first, second) = bank.one_waits_for_the_other(&engine).await;
    proxy.cut_next(Cut::AfterBegin);
    bank.world.open("debit");
    assert_eq!(first.result().await.unwrap(), 10);
    assert_eq!(second.result().await.unwrap(), -20);
    assert!(proxy.has_cut());
    assert_eq!(bank.cents().await, -20);
    assert_eq!(bank.world.attempts("debit").len(), 4);
}

#[tokio::test]
async fn a_refused_record_takes_nothing_from_who_waits_for_the_session() {
    let bank = Bank::open().await;
    let engine = bank.engine().await;
    bank.settle(&engine).await;
    let (first, second) = bank.one_waits_for_the_other(&engine).await;
    // As a takeover does.
    let taken = format!(
        "INSERT INTO {0}.journal SELECT execution, max(seq) + 1, 7, false, 'x' FROM {0}.journal
         WHERE execution = '{1}' GROUP BY execution",
        bank.schema,
        first.execution()
    );
    assert_eq!(bank.session.execute(&taken, &[]).await.unwrap(), 1);
    bank.world.open("debit");
    assert_eq!(second.result().await.unwrap(), 10, "the first has kept nothing");
    assert_eq!(bank.start(&engine, "P-3").await.result().await.unwrap(), -20);
}

#[tokio::test]
async fn a_commit_that_never_arrived_is_known_to_be_lost_and_the_step_is_made_again() {
    let bank = Bank::open().await;
    let proxy = Proxy::open().await;
    let engine = bank.engine_with(&bank.store_at(&proxy.url).await, |builder| builder).await;
    bank.world.plan("debit", [Act::Wait]);
    let run = bank.start(&engine, "P-1").await;
    bank.world.began("debit").await;
    proxy.cut_next(Cut::Before);
    bank.world.open("debit");
    assert_eq!(run.result().await.unwrap(), 70);
    assert!(proxy.has_cut());
    assert_eq!(bank.cents().await, 70);
    let numbers: Vec<u32> = bank.world.attempts("debit").iter().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, [1, 1], "an outage is no attempt");
}

#[tokio::test]
async fn a_session_that_is_ended_in_the_middle_of_a_step_costs_no_attempt() {
    let bank = Bank::open().await;
    bank.world.plan("debit", [Act::Wait]);
    let engine = bank.engine().await;
    let run = bank.start(&engine, "P-1").await;
    bank.world.began("debit").await;
    let end = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE mode = 'RowExclusiveLock' AND relation = $1::text::regclass";
    session().await.execute(end, &[&bank.table]).await.unwrap();
    bank.world.open("debit");
    assert_eq!(run.result().await.unwrap(), 70);
    assert_eq!(bank.cents().await, 70);
}

#[tokio::test]
async fn an_engine_that_stops_lets_a_step_end_or_leaves_nothing_of_it() {
    let bank = Bank::open().await;
    bank.world.plan("debit", [Act::Wait]);
    let engine = bank.engine().await;
    bank.start(&engine, "P-1").await;
    bank.world.began("debit").await;
    bank.world.open("debit");
    engine.shutdown().await;
    let (cents, rows) = (bank.cents().await, bank.rows("P-1").await);
    assert!(matches!((cents, rows), (70, 2..=3) | (100, 1..=2)), "{cents} cents, {rows} rows");
    let engine = bank.engine().await;
    let run = engine.client().attach::<pay>("P-1").await.unwrap();
    assert_eq!(run.result().await.unwrap(), 70);
    assert_eq!(bank.cents().await, 70);
}
