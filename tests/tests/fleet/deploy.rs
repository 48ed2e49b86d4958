//! Workers come and go on purpose.

use std::process::{Child, Command, ExitStatus, Stdio};

use saga_tests::{Database, Fleet, until};

const RUNS: &str = "SELECT count(*) FROM saga.runs";
const WORKERS: &str = "SELECT count(*) FROM saga.workers";
const COMPLETED: &str = "SELECT count(*) FROM saga.runs WHERE state = 5";
const OTHERWISE_ENDED: &str = "SELECT count(*) FROM saga.runs WHERE state > 5";
const LEFT_TO_OTHERS: &str = "SELECT count(*) FROM saga.not_build WHERE build = 'old'";
/// Runs that the old build has begun, or the new one: each step's name is in its run's journal.
const BEGUN: &str = "SELECT count(DISTINCT execution) FROM saga.journal WHERE position('pack'::bytea IN body) > 0";
const BEGUN_BY_NEW: &str =
    "SELECT count(DISTINCT execution) FROM saga.journal WHERE position('weigh'::bytea IN body) > 0";

/// A process of one build; it shuts down when it is dropped or told to.
struct Build(Child);

impl Build {
    fn start(database: &Database, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deploy"));
        command.arg(database.url()).args(arguments).stdin(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.0.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "no {name} for a build");
    }

    fn stop(mut self) -> ExitStatus {
        drop(self.0.stdin.take());
        self.0.wait().unwrap()
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn in_a_rolling_deploy_each_build_leaves_to_the_other_what_it_cannot_drive() {
    let _alone = crate::alone();
    let database = Database::create(saga_test_server::shared());
    let workers = |count: i64| until("the workers are there", || database.try_value(WORKERS) == Some(count));
    let old = Build::start(&database, &["old"]);
    workers(1);
    let client = |arguments: &[&str]| assert!(Build::start(&database, arguments).stop().success());
    // Begun by the old build; of the others it has no code.
    client(&["start", "0", "60"]);
    until("the old build has begun", || database.try_value(BEGUN) >= Some(30_i64));
    let first = Build::start(&database, &["new"]);
    workers(2);
    client(&["start", "60", "240"]);
    until("the new build has begun", || database.try_value(BEGUN_BY_NEW) >= Some(5_i64));
    let second = Build::start(&database, &["new"]);
    workers(3);
    // No run has ended. What the first one hands over, and what is sent for, only the old build can take up
    // while the second one stands still; and it cannot replay what the new build has begun.
    second.signal("STOP");
    assert!(first.stop().success());
    client(&["sail", "0", "240"]);
    until("the old build has met runs of the new one", || database.try_value(LEFT_TO_OTHERS) > Some(0_i64));
    second.signal("CONT");
    assert!(old.stop().success());
    let all = database.count(RUNS);
    until("all have ended", || database.try_value(COMPLETED) == Some(all));
    assert_eq!((all, database.count(OTHERWISE_ENDED)), (480, 0), "no run is dead, none failed");
    assert!(second.stop().success());
}

#[test]
fn a_worker_that_is_told_to_stop_under_load_hands_its_runs_over_at_once() {
    let _alone = crate::alone();
    // A lease that outlasts the test's patience: what is not handed over is never taken up.
    let mut fleet = Fleet::new(Database::create(saga_test_server::shared()), 900).lease("3600");
    let mut workers = fleet.workers(3);
    let client = fleet.submit(1, 1);
    fleet.until_ended(100);
    let stopped = workers.remove(0).stop_by("TERM");
    assert!(fleet.ended() < fleet.orders(), "all was over before it stopped: give it more orders");
    assert!(stopped["attempts"].as_u64() > Some(0), "it had nothing to hand over: {stopped}");
    assert!(client.wait().success());
    fleet.until_all_ended();
    for worker in workers {
        let said = worker.stop_by("TERM");
        assert_eq!(said["takeovers"].as_u64(), Some(0), "nobody was taken for dead: {said}");
        assert_eq!(said["refused_commits"].as_u64(), Some(0), "nobody wrote to another's run: {said}");
    }
    assert_eq!(fleet.database().count("SELECT count(*) FROM saga.live WHERE deaths > 0"), 0);
    fleet.check();
}
