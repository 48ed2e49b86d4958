//! A worker that is taken for dead and is not.

use saga_test_server::{Proxy, TestServer};
use saga_tests::{Database, Fleet, until};

const DEAD: &str = "SELECT count(*) FROM saga.workers WHERE dead";
const WORKERS: &str = "SELECT count(*) FROM saga.workers";

#[test]
fn a_worker_stopped_past_its_lease_is_refused_drops_its_runs_rejoins_and_works_on() {
    let _alone = crate::alone();
    let server = TestServer::start_private("");
    let database = Database::create(&server);
    let proxy = Proxy::that_holds(server.folder().unwrap(), &["-- lean", "-- full"]);
    let name = database.url().split(['/', '?']).nth(3).unwrap().to_owned();
    let mut fleet = Fleet::new(database, 800);
    let count = |fleet: &Fleet, sql: &str| fleet.database().try_value::<i64>(sql).unwrap_or(-1);
    let zombie = fleet.worker_by(&proxy.url_of(&name));
    let first = fleet.submit(1, 2);
    fleet.until_ended(50);
    // Its commits are on their way for as long as it is stopped.
    proxy.hold();
    until("a commit is on its way", || proxy.held() > 0);
    zombie.signal("STOP");
    let others = fleet.workers(2);
    // Nobody is dead for long: who is, has nothing left when it is forgotten.
    until("it is taken for dead, and others have its runs", || {
        count(&fleet, DEAD) == 0 && count(&fleet, WORKERS) == 2 && fleet.ended() == 400
    });
    proxy.let_go();
    zombie.signal("CONT");
    until("it joins anew", || count(&fleet, WORKERS) == 3);
    assert!(first.wait().success());
    for other in others {
        other.stop();
    }
    // Nobody else is left to work on these.
    let before = fleet.ended();
    assert!(fleet.submit(2, 2).wait().success());
    fleet.until_all_ended();
    assert!(fleet.ended() > before);
    assert!(zombie.log().contains("joins anew"), "{}", zombie.log());
    let said = zombie.stop_by("INT");
    let count = |what: &str| said[what].as_u64().unwrap_or_else(|| panic!("it says: {said}"));
    assert!(count("dropped_runs") > 0, "it kept runs that were others': {said}");
    assert_eq!(count("rejoins"), 1, "{said}");
    assert!(count("refused_commits") > 0, "no late commit was refused: {said}");
    // No step has ended twice in any journal, and the shop's books are what the orders say.
    let found = fleet.check();
    assert!(found.takeovers > 0, "it had no run when it was stopped: {found:?}");
}
