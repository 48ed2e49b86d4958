//! Processes and sessions are killed in the midst of work.

use std::time::Duration;

use saga_test_server::TestServer;
use saga_tests::{Database, Fleet, Random, Worker, last, until};

const SECOND: Duration = Duration::from_secs(1);

/// The sessions that carry hints: the last that they said.
const HINTS: &str = "query LIKE 'LISTEN %' OR query LIKE 'SELECT pg_notify%'";

/// Strikes so many times, at least a second apart, each time while new orders are started and
/// worked on; replaces workers that have ended; then waits for the end.
fn strike(fleet: &mut Fleet, times: usize, mut strike: impl FnMut(&mut Fleet, &mut Vec<Worker>)) {
    let mut workers = fleet.workers(4);
    for round in 1..=times {
        let before = fleet.started();
        let client = fleet.submit(round, times);
        until("the client starts orders", || fleet.started() > before);
        strike(fleet, &mut workers);
        last(SECOND, || false);
        workers.retain_mut(Worker::lives);
        while workers.len() < 4 {
            workers.push(fleet.worker());
        }
        assert!(client.wait().success(), "the client goes on as well");
    }
    fleet.until_all_ended();
}

#[test]
fn workers_killed_each_second_lose_nothing_and_double_nothing() {
    let _alone = crate::alone();
    let mut fleet = Fleet::new(Database::create(saga_test_server::shared()), 600).with(&["--flaky", "10"]);
    let mut random = Random::new(20_261_121);
    strike(&mut fleet, 6, |_, workers| {
        let victim = usize::try_from(random.below(4)).unwrap();
        workers.swap_remove(victim).kill();
    });
    let found = fleet.check();
    assert!(found.takeovers > 0, "the kills met nobody at work: {found:?}");
}

#[test]
fn a_server_that_crashes_and_recovers_during_load_fails_no_run() {
    let _alone = crate::alone();
    let server = TestServer::start_private("");
    let mut fleet = Fleet::new(Database::create(&server), 600);
    strike(&mut fleet, 3, |_, _| server.control(&["-w", "-m", "immediate", "restart"]));
    fleet.check();
}

#[test]
fn sessions_that_are_all_terminated_again_and_again_fail_no_run() {
    let _alone = crate::alone();
    let mut fleet = Fleet::new(Database::create(saga_test_server::shared()), 600);
    let mut ended = 0;
    strike(&mut fleet, 6, |fleet, _| ended += fleet.database().terminate("true"));
    fleet.check();
    assert!(ended >= 24, "{ended} sessions were terminated");
}

#[test]
fn sessions_for_hints_that_are_terminated_come_back_and_no_run_waits_for_them() {
    let _alone = crate::alone();
    let mut fleet = Fleet::new(Database::create(saga_test_server::shared()), 1000);
    let mut ended = 0;
    strike(&mut fleet, 4, |fleet, _| ended += fleet.database().terminate(HINTS));
    fleet.check();
    // Those of the client and of four workers, again and again.
    assert!(ended >= 8, "{ended} sessions were terminated");
}
