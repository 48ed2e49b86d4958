//! The server is replaced by another, or the way to it is cut.

use std::collections::BTreeSet;

use saga_test_server::{Proxy, TestServer};
use saga_tests::{Database, Fleet, until};

const RECORDS: &str = "SELECT execution || ' ' || seq || ' ' || nonce FROM saga.journal";
const SYNCHRONOUS: &str = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";

fn records(database: &Database) -> BTreeSet<String> {
    database.rows(RECORDS).iter().map(|row| row.get(0)).collect()
}

#[test]
fn after_a_failover_to_a_synchronous_standby_all_that_was_committed_is_there() {
    let _alone = crate::alone();
    let primary = TestServer::start_private("");
    let name = saga_test_server::fresh_name();
    Database::at(&primary.url()).run(&format!("CREATE DATABASE {name}"));
    let standby = primary.standby("second");
    primary.configure("synchronous_standby_names = 'second'");
    primary.control(&["reload"]);
    until("the standby is synchronous", || Database::at(&primary.url()).try_value(SYNCHRONOUS) == Some(1_i64));

    let [first, second] = [&primary, &standby].map(|server| server.folder().unwrap().display().to_string());
    let both = format!("postgres://saga@/{name}?host={first},{second}&target_session_attrs=read-write");
    let mut fleet = Fleet::new(Database::at(&both), 900);
    let mut workers = fleet.workers(3);
    let client = fleet.submit(1, 1);
    fleet.until_ended(100);
    let committed = records(fleet.database());
    primary.control(&["-w", "-m", "immediate", "stop"]);
    standby.control(&["-w", "promote"]);

    let there = records(fleet.database());
    assert!(committed.is_subset(&there), "{} records are lost", committed.difference(&there).count());
    assert!(client.wait().success(), "the client goes on as well");
    fleet.until_all_ended();
    assert!(workers.iter_mut().all(saga_tests::Worker::lives), "a failover ends no worker");
    fleet.check();
}

#[test]
fn sessions_cut_between_a_commit_and_its_answer_double_nothing_and_lose_nothing() {
    let _alone = crate::alone();
    let server = TestServer::start_private("");
    let database = Database::create(&server);
    let proxy =
        Proxy::before(server.folder().unwrap(), &["-- lean", "-- full", "-- start", "-- claim", "-- adopt"], 20);
    let name = database.url().split(['/', '?']).nth(3).unwrap().to_owned();
    let mut fleet = Fleet::new(database, 1_000).by(&proxy.url_of(&name));
    let mut workers = fleet.workers(3);
    fleet.submit_all();
    fleet.until_all_ended();
    assert!(workers.iter_mut().all(saga_tests::Worker::lives), "a lost answer ends no worker");
    let found = fleet.check();
    println!("{} answers kept back, {found:?}", proxy.cuts());
    assert!(proxy.cuts() >= 20, "{} answers were kept back: give it more orders", proxy.cuts());
}
