//! A worker that is taken for dead and is not.

use saga_tests::{Database, Fleet, until};

const DEAD: &str = "SELECT count(*) FROM saga.workers WHERE dead";
const WORKERS: &str = "SELECT count(*) FROM saga.workers";

#[test]
fn a_worker_stopped_past_its_lease_drops_its_runs_rejoins_and_works_on() {
    let _alone = crate::alone();
    let mut fleet = Fleet::new(Database::create(saga_test_server::shared()), 800);
    let count = |fleet: &Fleet, sql: &str| fleet.database().try_value::<i64>(sql).unwrap_or(-1);
    let zombie = fleet.worker();
    let first = fleet.submit(1, 2);
    fleet.until_ended(50);
    zombie.signal("STOP");
    let stopped_at = fleet.ended();
    let others = fleet.workers(2);
    // Nobody is dead for long: who is, has nothing left when it is forgotten.
    until("it is taken for dead, and others have its runs", || {
        count(&fleet, DEAD) == 0 && count(&fleet, WORKERS) == 2 && fleet.ended() > stopped_at + 64
    });
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
    println!("{} late commits were refused before it noticed", count("refused_commits"));
    // No step has ended twice in any journal, and the shop's books are what the orders say.
    let found = fleet.check();
    assert!(found.takeovers > 0, "it had no run when it was stopped: {found:?}");
}
