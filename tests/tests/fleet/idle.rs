//! A worker with nothing to do, however many runs sleep.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use saga_runtime::store::Timestamp;
use saga_runtime::store::wire::{Entry, Record};
use saga_test_server::TestServer;
use saga_tests::{Database, until};

/// All of them are copies of one run that is really there.
const COPIES: &str = "
    CREATE TABLE copies AS SELECT gen_random_uuid() AS execution, number FROM generate_series(1, 99999) number;
    INSERT INTO saga.runs SELECT r.* FROM saga.runs t, copies c,
        jsonb_populate_record(t, jsonb_build_object('execution', c.execution, 'id', 'S-' || c.number)) r;
    INSERT INTO saga.live SELECT r.* FROM saga.live t, copies c,
        jsonb_populate_record(t, jsonb_build_object('execution', c.execution)) r;
    INSERT INTO saga.ready SELECT r.* FROM saga.ready t, copies c,
        jsonb_populate_record(t, jsonb_build_object('execution', c.execution)) r;
    INSERT INTO saga.journal SELECT r.* FROM saga.journal t, copies c,
        jsonb_populate_record(t, jsonb_build_object('execution', c.execution)) r;
    DROP TABLE copies";

const ASLEEP: &str = "SELECT count(*) FROM saga.ready WHERE NOT awake";
const COMPLETED: &str = "SELECT count(*) FROM saga.runs WHERE state = 5";
const TIMER_SET: &str = "SELECT body FROM saga.journal WHERE seq = 1 LIMIT 1";

/// So many runs sleep.
const RUNS: i64 = 100_000;

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn sleeper(url: &str, mode: &str) -> Child {
    let url = format!("{url}&application_name=sleeper");
    let mut command = Command::new(env!("CARGO_BIN_EXE_sleeper"));
    command.args([&url, mode]).stdout(Stdio::null()).spawn().unwrap()
}

/// The statements that the worker has sent, by their first words.
fn statements(server: &TestServer) -> Vec<String> {
    let log = std::fs::read(server.folder().unwrap().join("data/server.log")).unwrap();
    let log = String::from_utf8_lossy(&log);
    let sent = log.lines().filter_map(|line| line.strip_prefix("sleeper|LOG:  "));
    sent.filter(|line| line.starts_with("execute") || line.starts_with("statement")).map(ToOwned::to_owned).collect()
}

/// Where in them the beats are.
fn beats(statements: &[String]) -> Vec<usize> {
    (0..statements.len()).filter(|at| statements[*at].contains("-- beat")).collect()
}

/// Its memory that is in use, in MB.
fn memory(child: &Child) -> u64 {
    let said = Command::new("ps").args(["-o", "rss=", "-p", &child.id().to_string()]).output().unwrap();
    String::from_utf8_lossy(&said.stdout).trim().parse::<u64>().unwrap() / 1024
}

/// Makes the timers of all runs due in a moment.
fn wake_all(database: &Database) {
    let due = Timestamp::from_system_clock().after(Duration::from_secs(2)).as_micros();
    let mut record = Record::from_bytes(database.rows(TIMER_SET)[0].get(0)).unwrap();
    for entry in &mut record.entries {
        if let Entry::TimerSet(timer) = entry {
            timer.due = due;
        }
    }
    let body: Vec<String> = record.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let body = body.concat();
    database.run(&format!(
        "UPDATE saga.journal SET body = '\\x{body}' WHERE seq = 1; UPDATE saga.ready SET due_at = {due}"
    ));
}

#[test]
fn an_idle_worker_with_a_hundred_thousand_sleeping_runs_costs_next_to_nothing_and_wakes_them_all() {
    let _alone = crate::alone();
    let server = TestServer::start_private("log_statement = 'all'\nlog_line_prefix = '%a|'");
    let database = Database::create(&server);
    assert!(sleeper(database.url(), "template").wait().unwrap().success());
    database.run(COPIES);
    database.run("ANALYZE");
    assert_eq!(database.count(ASLEEP), RUNS);
    let before = statements(&server).len();

    let worker = Killed(sleeper(database.url(), "work"));
    // From its second beat to its eleventh: a beat is three seconds, so this is 27.
    until("it has beaten eleven times", || beats(&statements(&server)[before..]).len() >= 11);
    let all = statements(&server).split_off(before);
    let beats = beats(&all);
    let (sent, most) = (beats[10] - beats[1], 27 * 40 / 60);
    assert!(sent <= most, "{sent} statements in 27 s, {most} are the most:\n{}", all[beats[1]..=beats[10]].join("\n"));
    let (idle, most) = (memory(&worker.0), 100);
    assert!(idle < most, "{idle} MB");

    wake_all(&database);
    until("all have woken up", || database.try_value(COMPLETED) == Some(RUNS));
    println!("{sent} statements in 27 s, {idle} MB idle, {} MB after", memory(&worker.0));
}
