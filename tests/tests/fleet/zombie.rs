//! A worker that is taken for dead and is not.

use saga_tests::{Database, Fleet, until};

#[test]
fn a_worker_stopped_past_its_lease_is_refused_and_rejoins_and_works_on() {
    let _alone = crate::alone();
    let mut fleet = Fleet::new(Database::create(saga_test_server::shared()), 3000);
    let zombie = fleet.worker();
    fleet.submit_all();
    fleet.until_ended(100);
    zombie.signal("STOP");
    assert!(fleet.ended() < fleet.orders() - 1000, "little is left to take over: give it more orders");
    let others = fleet.workers(2);
    let takeovers = "SELECT count(*) FROM saga.workers WHERE dead";
    until("the stopped worker is taken for dead", || fleet.database().try_value::<i64>(takeovers) == Some(1));
    fleet.until_ended(1000);
    let before = fleet.incarnations();
    zombie.signal("CONT");
    until("it joins again", || fleet.incarnations() > before);
    for other in others {
        other.stop();
    }
    // Nobody else is left.
    fleet.until_all_ended();
    assert!(zombie.stop() > 0);
    let found = fleet.check();
    println!("{found:?}");
    assert!(found.takeovers > 0);
}
