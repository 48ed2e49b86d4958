//! Workers of a new build come up over the tables of an older one.

use saga_tests::{Database, Fleet, Worker};

/// The tables of version 1, as the build had them that made it.
fn first_version() -> String {
    let meta = "CREATE SCHEMA saga; CREATE TABLE saga.meta (one boolean PRIMARY KEY DEFAULT true CHECK (one),
        version integer NOT NULL, serves integer NOT NULL); INSERT INTO saga.meta (version, serves) VALUES (1, 1);";
    let tables = include_str!("../../../saga-postgres/migrations/0001_runs.sql");
    meta.to_owned() + &tables.replace("@.", "saga.")
}

#[test]
fn workers_that_come_up_at_once_over_older_tables_bring_them_up_to_date_and_work() {
    let _alone = crate::alone();
    let database = Database::create(saga_test_server::shared());
    database.run(&first_version());
    let mut fleet = Fleet::new(database, 200);
    let mut workers = fleet.workers(4);
    let client = fleet.submit(1, 1);
    assert!(client.wait().success(), "the orders are started");
    fleet.until_all_ended();
    assert!(workers.iter_mut().all(Worker::lives), "a migration ends no worker");
    assert!(fleet.database().count("SELECT version::int8 FROM saga.meta") > 1);
    fleet.check();
}
