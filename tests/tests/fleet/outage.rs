//! The server is away for longer than any lease.

use std::time::Duration;

use saga_test_server::TestServer;
use saga_tests::{Database, Fleet, Worker, last};

/// Three leases, and something.
const AWAY: Duration = Duration::from_secs(7);

#[test]
fn after_an_outage_of_three_leases_nobody_takes_over_what_others_work_on() {
    let _alone = crate::alone();
    let server = TestServer::start_private("");
    let mut fleet = Fleet::new(Database::create(&server), 2000);
    let mut workers = fleet.workers(4);
    fleet.submit_all();
    fleet.until_ended(300);
    server.control(&["-w", "-m", "immediate", "stop"]);
    last(AWAY, || false);
    server.control(&["-w", "start"]);
    assert!(fleet.ended() < fleet.orders(), "all was over before the outage: give it more orders");
    fleet.until_all_ended();
    assert!(workers.iter_mut().all(Worker::lives), "an outage ends no worker");
    assert_eq!(fleet.check().takeovers, 0, "live runs were taken over");
}
