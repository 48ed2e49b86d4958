//! A run that aborts its process, again and again: it is isolated and ends `dead`, and its
//! neighbours complete. Real processes, started anew as a supervisor does.

use std::process::{Command, ExitStatus, Stdio};

use saga_test_server::{fresh_name, shared};

/// More lives than the verdict takes, whatever the order in which runs are tried.
const LIVES: u32 = 40;

fn program(task: &str, store: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_poison"));
    command.arg(task).args(store).env("RUST_LOG", "error").stderr(Stdio::inherit());
    command
}

fn start(store: &[&str]) {
    assert!(program("start", store).status().unwrap().success());
}

#[cfg(unix)]
fn aborted(status: ExitStatus) -> bool {
    const SIGABRT: i32 = 6;
    std::os::unix::process::ExitStatusExt::signal(&status) == Some(SIGABRT)
}

fn check(last_words: &str, aborts: u32) {
    assert!(last_words.contains("Dead(") && last_words.contains("kill"), "{last_words}");
    assert!(aborts >= 3, "a run was given up after {aborts} deaths");
    println!("{aborts} aborts: {last_words}");
}

/// Starts a worker again each time that it is killed; how often it was, and its last words.
fn supervise(store: &[&str]) -> (u32, String) {
    for aborts in 0..LIVES {
        let output = program("work", store).output().unwrap();
        if output.status.success() {
            return (aborts, String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        assert!(aborted(output.status), "{output:?}");
    }
    panic!("the run still kills its process");
}

#[test]
fn on_one_file_a_run_that_aborts_the_process_ends_dead_and_its_neighbours_complete() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = [path.to_str().unwrap()];
    start(&store);
    let (aborts, last_words) = supervise(&store);
    check(&last_words, aborts);
}

#[test]
fn on_postgres_a_run_that_aborts_its_workers_ends_dead_and_its_neighbours_complete() {
    let (url, schema) = (shared().url(), fresh_name());
    let store = [url.as_str(), schema.as_str()];
    start(&store);
    let done: Vec<(u32, String)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..3).map(|_| scope.spawn(|| supervise(&store))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let aborts = done.iter().map(|(aborts, _)| aborts).sum();
    for (_, last_words) in &done {
        check(last_words, aborts);
    }
}
