//! The order pipeline under random faults for as long as one likes: `cargo xtask chaos`.
//!
//! In rounds, each with a database of its own, thousands of orders are started and worked on while
//! about once a second something befalls the processes, the server or the sessions between them.
//! After each round the shop's books are held against the orders' file, and the journals are read.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use saga_test_server::TestServer;
use saga_tests::{Database, Fleet, Random, Victim, Worker, last, program};

const USAGE: &str = "usage: chaos [--minutes N] [--store sqlite|postgres] [--seed N] [--orders N]";

const SECOND: Duration = Duration::from_secs(1);

/// So many workers share a database.
const WORKERS: usize = 4;

struct Plan {
    minutes: u64,
    on_postgres: bool,
    seed: u64,
    orders: usize,
}

fn main() -> ExitCode {
    let Some(plan) = plan(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let until = Instant::now() + Duration::from_secs(60 * plan.minutes);
    let mut injected = Injected::default();
    let mut round = 0;
    while round == 0 || Instant::now() < until {
        let seed = plan.seed + round;
        println!("round {round}, seed {seed}: {} orders", plan.orders);
        if plan.on_postgres {
            on_postgres(&plan, seed, &mut injected);
        } else {
            on_sqlite(seed, &mut injected);
        }
        round += 1;
        println!("  clean; injected so far: {injected}");
    }
    println!("{round} rounds, every one clean; injected: {injected}");
    ExitCode::SUCCESS
}

fn plan(mut arguments: impl Iterator<Item = String>) -> Option<Plan> {
    let mut plan = Plan { minutes: 10, on_postgres: true, seed: 1, orders: 7000 };
    while let Some(name) = arguments.next() {
        let value = arguments.next()?;
        match name.as_str() {
            "--minutes" => plan.minutes = value.parse().ok()?,
            "--seed" => plan.seed = value.parse().ok()?,
            "--orders" => plan.orders = value.parse().ok().filter(|orders| (1..=7000).contains(orders))?,
            "--store" => plan.on_postgres = ["sqlite", "postgres"].iter().position(|kind| *kind == value)? == 1,
            _ => return None,
        }
    }
    Some(plan)
}

/// What was injected how often.
#[derive(Default)]
struct Injected(BTreeMap<&'static str, u64>);

impl Injected {
    fn count(&mut self, fault: &'static str) {
        *self.0.entry(fault).or_default() += 1;
    }
}

impl std::fmt::Display for Injected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let each: Vec<String> = self.0.iter().map(|(fault, times)| format!("{times} {fault}")).collect();
        f.write_str(&each.join(", "))
    }
}

fn on_postgres(plan: &Plan, seed: u64, injected: &mut Injected) {
    let server = TestServer::start_private("");
    let mut fleet = Fleet::new(Database::create(&server), plan.orders).with(&["--flaky", "5"]);
    let mut random = Random::new(seed);
    let mut workers = fleet.workers(WORKERS);
    let mut client = fleet.submit(1, 1);
    while fleet.ended() < fleet.orders() {
        let victim = usize::try_from(random.below(WORKERS as u64)).unwrap_or_default();
        match random.below(12) {
            0..=4 => {
                injected.count("workers killed");
                workers.swap_remove(victim).kill();
            }
            5..=6 => {
                injected.count("workers stopped past their lease");
                workers[victim].signal("STOP");
                last(SECOND * 4, || false);
                workers[victim].signal("CONT");
            }
            7..=8 => {
                injected.count("times all sessions terminated");
                fleet.database().terminate("true");
            }
            9 => {
                injected.count("times sessions for hints terminated");
                fleet.database().terminate("query LIKE 'LISTEN %' OR query LIKE 'SELECT pg_notify%'");
            }
            10 => {
                injected.count("server crashes");
                server.control(&["-w", "-m", "immediate", "restart"]);
            }
            _ => {
                injected.count("outages of three leases");
                server.control(&["-w", "-m", "fast", "stop"]);
                last(SECOND * 7, || false);
                server.control(&["-w", "start"]);
            }
        }
        last(SECOND, || fleet.ended() >= fleet.orders());
        workers.retain_mut(Worker::lives);
        while workers.len() < WORKERS {
            workers.push(fleet.worker());
        }
        if !client.lives() && fleet.started() < fleet.orders() {
            injected.count("clients started again");
            client = fleet.submit(1, 1);
        }
    }
    drop(client);
    let found = fleet.check();
    println!("  {} runs, {} steps and undos, {} takeovers", found.runs, found.ends, found.takeovers);
}

const ORDERS: &[&str] = &["run", "--json", "--concurrency", "64", "--flaky", "5"];

fn on_sqlite(seed: u64, injected: &mut Injected) {
    let attempts = "SELECT coalesce(max(seq), 0) FROM attempts";
    let victim = Victim::new(&program("order-saga"), ORDERS, "order-saga-shop.db", attempts);
    let mut random = Random::new(seed);
    for _ in 0..20 {
        let mut child = victim.start();
        if victim.wait_for(&mut child, random.below_i64(3000), u64::MAX) {
            injected.count("programs killed");
        }
        // One that has ended cannot be killed.
        let _ = child.kill();
        let _ = child.wait();
    }
    victim.finish();
    let (audit, clean) = victim.run(&["audit", "--json"]);
    assert!(clean, "the audit found a violation: {audit}");
}
