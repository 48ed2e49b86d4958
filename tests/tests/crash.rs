//! The real program, killed with SIGKILL at random moments, again and again: nothing is lost,
//! nothing happens twice.

use std::collections::BTreeMap;
use std::path::Path;

use saga_runtime::Client;
use saga_runtime::store::wire::Entry;
use saga_runtime::store::{Query, RunState};
use saga_sqlite::SqliteStore;
use saga_sqlite::rusqlite::Connection;
use saga_tests::{Database, Random, Victim, program};
use serde_json::Value;

const ORDERS: &[&str] = &["run", "--json", "--limit", "7000", "--concurrency", "64", "--flaky", "10", "--seed", "7"];
const SHOP: &str = "order-saga-shop.db";
const ATTEMPTS: &str = "SELECT coalesce(max(seq), 0) FROM attempts";

const TRANSFERS: &[&str] = &["--json", "--transfers", "15000", "--concurrency", "64"];
const TRANSFERS_ON_A_SERVER: &[&str] = &["--json", "--transfers", "6000", "--concurrency", "64", "--lease", "1"];

const KILLS: usize = 24;

/// Attempts are logged by the machine's clock, records by the engine's, which can be behind it
/// by as long as its first answer from the store took.
const CLOCK_LAG: i64 = 100_000;

/// Kills it at seeded moments, every fourth time in its start-up; says how often it lived.
fn kill_again_and_again(victim: &Victim, most: i64) -> usize {
    let mut random = Random::new(20_261_121);
    (0..KILLS)
        .filter(|round| {
            let in_start_up = round % 4 == 3;
            let (more, looks) =
                if in_start_up { (i64::MAX / 2, random.below(400)) } else { (random.below_i64(most), u64::MAX) };
            let mut child = victim.start();
            let alive = victim.wait_for(&mut child, more, looks);
            child.kill().unwrap();
            child.wait().unwrap();
            alive
        })
        .count()
}

fn audit(victim: &Victim) -> Value {
    let (audit, success) = victim.run(&["audit", "--json", "--limit", "7000"]);
    assert!(success, "the audit found a violation: {audit}");
    audit
}

fn order_counts(summary: &Value) -> Vec<Value> {
    ["orders", "completed", "invalid", "out_of_stock", "declined"].map(|key| summary[key].clone()).to_vec()
}

#[test]
fn orders_whose_program_is_killed_again_and_again_are_neither_lost_nor_doubled() {
    let program = program("order-saga");
    let undisturbed = Victim::new(&program, ORDERS, SHOP, ATTEMPTS);
    let expected = order_counts(&undisturbed.finish());
    let expected_audit = audit(&undisturbed);

    let victim = Victim::new(&program, ORDERS, SHOP, ATTEMPTS);
    let kills = kill_again_and_again(&victim, 900);
    assert!(kills >= 20, "only {kills} of {KILLS} kills met a living program: give it more orders");
    assert_eq!(order_counts(&victim.finish()), expected);
    assert_eq!(audit(&victim), expected_audit);
    let steps = tokio::runtime::Runtime::new().unwrap().block_on(check_attempts(victim.directory()));
    println!("{kills} kills, {steps} steps checked");
}

#[test]
fn money_moved_by_a_program_that_is_killed_again_and_again_is_neither_made_nor_lost() {
    let entries = "SELECT count(*) FROM bank_ledger";
    let victim = Victim::new(&program("transfer"), TRANSFERS, "transfer.db", entries);
    neither_made_nor_lost(&victim, 400);
}

#[test]
fn money_moved_on_a_server_by_a_program_that_is_killed_again_and_again_is_neither_made_nor_lost() {
    let database = Database::create(saga_test_server::shared());
    let entries = "SELECT count(*) FROM bank.ledger";
    let victim = Victim::on_server(&program("transfer"), TRANSFERS_ON_A_SERVER, database, entries);
    neither_made_nor_lost(&victim, 200);
}

fn neither_made_nor_lost(victim: &Victim, most: i64) {
    let kills = kill_again_and_again(victim, most);
    assert!(kills >= 20, "only {kills} of {KILLS} kills met a living program: give it more transfers");
    let checked = victim.finish();
    assert_eq!(checked["open"], 0, "{checked}");
    assert_eq!(checked["cents"], checked["initial_cents"], "{checked}");
    assert_eq!(checked["wrong_accounts"], 0, "{checked}");
    assert_eq!(checked["wrong_transfers"], 0, "{checked}");
    println!("{kills} kills: {checked}");
}

/// No attempt of a step was made after its end had been journalled, and no run is left open.
async fn check_attempts(directory: &Path) -> usize {
    let shop = Connection::open(directory.join("order-saga-shop.db")).unwrap();
    let mut statement = shop.prepare("SELECT key, max(started_at) FROM attempts GROUP BY key").unwrap();
    let last_start: BTreeMap<String, i64> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().collect::<Result<_, _>>().unwrap();
    let client = Client::new(SqliteStore::open(directory.join("order-saga.db")).await.unwrap());
    let mut query = Query { limit: 500, ..Query::default() };
    let mut steps = 0;
    loop {
        let page = client.list(&query).await.unwrap();
        for run in page.runs {
            assert!(matches!(run.state, RunState::Completed | RunState::Failed), "{} is {}", run.id, run.state);
            let details = client.show(run.id.as_str()).await.unwrap();
            for record in &details.records {
                for entry in &record.entries {
                    let key = match entry {
                        Entry::StepEnded(ended) => format!("{}/{}", run.execution, ended.op),
                        Entry::UndoEnded(op, _) => format!("{}/{op}/undo", run.execution),
                        _ => continue,
                    };
                    // Activities that do not touch the shop log nothing.
                    let Some(started) = last_start.get(&key) else { continue };
                    let late = started - record.at().as_micros();
                    assert!(
                        late <= CLOCK_LAG,
                        "{}: an attempt of {key} began {late} µs after its end was journalled",
                        run.id
                    );
                    steps += 1;
                }
            }
        }
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    assert!(steps > 10_000, "only {steps} steps were found in the shop's log");
    steps
}
