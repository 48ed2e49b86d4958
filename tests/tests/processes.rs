//! The real program in several processes: stopped by Ctrl-C, split into client and worker, started
//! twice on one file.

use std::process::{Child, Command, Stdio};

use saga_tests::{Database, Victim, program, until};

const ORDERS: &[&str] = &["run", "--json", "--limit", "2000", "--concurrency", "32", "--flaky", "10"];
const SHOP: &str = "order-saga-shop.db";
const ATTEMPTS: &str = "SELECT coalesce(max(seq), 0) FROM attempts";

fn interrupt(child: &Child) {
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn ctrl_c_ends_the_program_gracefully_and_the_next_start_goes_on() {
    let program = program("order-saga");
    let undisturbed = Victim::new(&program, ORDERS, SHOP, ATTEMPTS);
    let expected = undisturbed.finish();

    let victim = Victim::new(&program, ORDERS, SHOP, ATTEMPTS);
    let mut child = victim.start();
    assert!(victim.wait_for(&mut child, 1500, u64::MAX), "the program ended before it was interrupted");
    interrupt(&child);
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130), "it ends by itself, not by the signal");
    let attempts = victim.progress();
    assert!(attempts < undisturbed.progress(), "it was done before it was interrupted");

    let summary = victim.finish();
    for key in ["orders", "completed", "invalid", "out_of_stock", "declined"] {
        assert_eq!(summary[key], expected[key], "{key}");
    }
    let (audit, clean) = victim.run(&["audit", "--json", "--limit", "2000"]);
    assert!(clean, "{audit}");
}

#[test]
fn a_client_in_one_process_leaves_its_runs_to_a_worker_in_another() {
    let program = program("order-saga");
    let victim = Victim::new(&program, &["worker"], "order-saga.db", ENDED);
    let mut worker = victim.start();
    let submitted = victim.command(&["submit", "--limit", "500"]).stdout(Stdio::null()).status().unwrap();
    assert!(submitted.success());
    assert!(victim.wait_for(&mut worker, 500 - victim.progress(), u64::MAX), "the worker ended early");
    interrupt(&worker);
    assert!(worker.wait().unwrap().success());
    let (audit, clean) = victim.run(&["audit", "--json", "--limit", "500"]);
    assert!(clean, "{audit}");
    assert_eq!(audit["orders"], 500);
}

fn operators_reach_each_order(victim: &Victim) {
    let operate = |action: &str, order: &str| {
        let done = victim.command(&["operate", action, order]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&done.stdout), format!("ORD-{order}: done\n"));
    };
    let shown = |order: &str| {
        let shown = victim.command(&["show", order]).output().unwrap();
        String::from_utf8_lossy(&shown.stdout).into_owned()
    };
    let submitted = victim.command(&["submit", "--limit", "40"]).stdout(Stdio::null()).status().unwrap();
    assert!(submitted.success());
    operate("suspend", "1");
    operate("cancel", "2");
    let mut worker = victim.start();
    assert!(victim.wait_for(&mut worker, 39 - victim.progress(), u64::MAX), "the worker ended early");
    until("the first order is suspended", || shown("1").contains("suspended"));
    assert!(!shown("1").contains("charge_payment"), "{}", shown("1"));
    assert!(shown("2").contains("cancelled"), "{}", shown("2"));
    operate("resume", "1");
    assert!(victim.wait_for(&mut worker, 40 - victim.progress(), u64::MAX), "the worker ended early");
    interrupt(&worker);
    assert!(worker.wait().unwrap().success());
    assert!(shown("1").contains("charge_payment") && shown("1").contains("completed"), "{}", shown("1"));
    let (audit, clean) = victim.run(&["audit", "--json", "--limit", "40"]);
    assert!(clean, "{audit}");
    assert_eq!(audit["orders"], 40);
}

#[test]
fn operators_reach_each_order_in_a_file() {
    operators_reach_each_order(&Victim::new(&program("order-saga"), &["worker"], "order-saga.db", ENDED));
}

#[test]
fn operators_reach_each_order_on_a_server() {
    let ended = "SELECT count(*) FROM saga.runs WHERE state BETWEEN 5 AND 9";
    let database = Database::create(saga_test_server::shared());
    operators_reach_each_order(&Victim::on_server(&program("order-saga"), &["worker"], database, ended));
}

/// The runs that have ended: their states' codes are those of `RunState`.
const ENDED: &str = "SELECT count(*) FROM saga_runs WHERE state BETWEEN 5 AND 9";

#[test]
fn a_second_worker_on_one_file_is_refused_and_the_first_goes_on() {
    let program = program("order-saga");
    let victim = Victim::new(&program, ORDERS, SHOP, ATTEMPTS);
    let mut first = victim.start();
    assert!(victim.wait_for(&mut first, 1, u64::MAX));
    let second = victim.command(&["worker"]).stderr(Stdio::piped()).output().unwrap();
    let message = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success());
    assert!(message.contains("order-saga.db"), "it names the file: {message}");
    assert!(first.wait().unwrap().success());
    let (audit, clean) = victim.run(&["audit", "--json", "--limit", "2000"]);
    assert!(clean, "{audit}");
}
