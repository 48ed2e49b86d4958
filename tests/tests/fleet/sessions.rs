//! Sessions whose workers are killed.

use std::process::{Child, Command, Stdio};

use saga_tests::{Database, until};

const RUNS: i64 = 60;
const ENDED: &str = "SELECT count(*) FROM saga.runs WHERE workflow = 'asks' AND state >= 5";
/// Steps of sessions that have begun and not ended.
const UNDER_WAY: &str = "SELECT count(*) FROM saga.runs WHERE workflow = '@session/gpu' AND state < 5";
const NOT_ENDED: &str = "SELECT count(*) FROM saga.runs WHERE state < 5";

fn process(database: &Database, arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sessions"));
    command.arg(database.url()).args(arguments).stdout(Stdio::piped()).spawn().unwrap()
}

/// How many sessions a process has begun to drive that have not ended.
fn sessions_of(process: u32) -> String {
    format!(
        "SELECT count(*) FROM saga.runs JOIN saga.live l USING (execution)
         JOIN saga.workers w ON w.incarnation = l.owner
         WHERE workflow = '@session/gpu' AND state < 5 AND w.name = 'process {process}'
         AND EXISTS (SELECT FROM saga.journal j WHERE j.execution = l.execution AND j.seq = 1)"
    )
}

/// Workers that are killed when the test is over.
struct Workers(Vec<Child>);

impl Workers {
    fn kill(&mut self, at: usize) {
        let mut worker = self.0.swap_remove(at);
        worker.kill().unwrap();
        worker.wait().unwrap();
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        while !self.0.is_empty() {
            self.kill(0);
        }
    }
}

#[test]
fn sessions_whose_workers_are_killed_are_begun_anew_and_none_has_steps_of_two_processes() {
    let _alone = crate::alone();
    let database = Database::create(saga_test_server::shared());
    let count = |sql: &str| database.try_value::<i64>(sql).unwrap_or(-1);
    let mut workers = Workers((0..3).map(|_| process(&database, &["gpu"])).collect());
    let desk = process(&database, &["desk", &RUNS.to_string()]);
    let of_first = sessions_of(workers.0[0].id());
    until("the first worker has sessions to lose", || count(&of_first) >= 2);
    for kills in 1..=4 {
        until("sessions are under way", || count(UNDER_WAY) >= 8 && count(ENDED) >= 4 * kills);
        workers.kill(0);
        workers.0.push(process(&database, &["gpu"]));
    }
    let said = desk.wait_with_output().unwrap();
    assert!(said.status.success(), "a run has not ended as it should");
    let sessions: i64 = String::from_utf8_lossy(&said.stdout).trim().parse().unwrap();
    assert!(sessions > RUNS, "no session was lost: the workers were killed too late");
    until("what is left of lost sessions has ended", || count(NOT_ENDED) == 0);
    drop(workers);
}
