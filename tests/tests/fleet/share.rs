//! Nothing befalls anyone: the work is shared.

use saga_tests::{Database, Fleet};

#[test]
fn four_workers_of_one_name_share_the_load_and_the_figures_are_exact() {
    let _alone = crate::alone();
    let mut fleet = Fleet::new(Database::create(saga_test_server::shared()), 1500);
    let workers = fleet.workers(4);
    fleet.submit_all();
    fleet.until_all_ended();
    let attempts: Vec<u64> = workers.into_iter().map(saga_tests::Worker::stop).collect();
    let all: u64 = attempts.iter().sum();
    println!("attempts: {attempts:?}");
    assert!(attempts.iter().all(|of_one| of_one * 100 >= all * 15), "the work is not shared: {attempts:?}");
    assert_eq!(fleet.attempts(), i64::try_from(all).unwrap(), "an attempt was made that nobody made");
    assert_eq!(fleet.check().takeovers, 0);
}
