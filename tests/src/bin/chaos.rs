//! The order pipeline under random faults for as long as one likes: `cargo xtask chaos`.
//!
//! In rounds, each with a database of its own, thousands of orders are started and worked on while
//! about once a second something befalls the processes, the server or the sessions between them.
//! After each round the shop's books are held against the orders' file, and the journals are read.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use saga_postgres::PostgresStore;
use saga_test_server::{SmallDisk, TestServer};
use saga_tests::{Database, Fleet, Random, Victim, Worker, holds_in_time, last, program};

const USAGE: &str = "usage: chaos [--minutes N] [--store sqlite|postgres] [--seed N] [--orders N]";

const SECOND: Duration = Duration::from_secs(1);

/// So many workers share a database.
const WORKERS: usize = 4;

/// Room for a journal of all orders, in mebibytes.
const DISK: u32 = 128;

/// How long a disk is full: longer than a lease of these workers.
const FULL: Duration = Duration::from_secs(3);

/// After this a round is let end in peace.
type Deadline = Instant;

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
    // Built before the clock runs: that may take longer than the faults.
    drop(program("order-saga"));
    let until = Instant::now() + Duration::from_secs(60 * plan.minutes);
    let mut injected = Injected::default();
    let mut round = 0;
    while round == 0 || Instant::now() < until {
        let seed = plan.seed + round;
        println!("round {round}, seed {seed}: {} orders", plan.orders);
        if plan.on_postgres {
            on_postgres(&plan, seed, until, &mut injected);
        } else {
            on_sqlite(&plan, seed, until, &mut injected);
        }
        round += 1;
        println!("  clean; injected so far: {injected}");
    }
    assert!(!injected.0.is_empty(), "nothing was injected: give it more orders");
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

/// A disk for the journal that can be filled; none where none can be mounted.
fn small_disk() -> Option<SmallDisk> {
    let mounted = SmallDisk::mount(DISK);
    if let Err(why) = &mounted {
        println!("  no disk can be mounted here, so none is filled: {why}");
    }
    mounted.ok()
}

fn fill(disk: &SmallDisk, injected: &mut Injected) {
    injected.count("times the disk was full");
    disk.fill();
    last(FULL, || false);
    disk.make_room();
}

/// The tables of the store, with the journal on that disk.
fn prepare(database: &Database, disk: &SmallDisk) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    let store = runtime.block_on(PostgresStore::connect(database.url()));
    drop(store.expect("the tables can be made"));
    database.run(&format!("CREATE TABLESPACE small LOCATION '{}'", disk.folder().display()));
    database.run("ALTER TABLE saga.journal SET TABLESPACE small");
}

fn on_postgres(plan: &Plan, seed: u64, until: Deadline, injected: &mut Injected) {
    let disk = small_disk();
    let server = TestServer::start_private("");
    let database = Database::create(&server);
    if let Some(disk) = &disk {
        prepare(&database, disk);
    }
    let mut fleet = Fleet::new(database, plan.orders).with(&["--flaky", "5"]);
    let mut random = Random::new(seed);
    let mut workers = fleet.workers(WORKERS);
    let mut client = fleet.submit(1, 1);
    while fleet.ended() < fleet.orders() && Instant::now() < until {
        let victim = usize::try_from(random.below(WORKERS as u64)).unwrap_or_default();
        match random.below(14) {
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
            11..=12 => match &disk {
                Some(disk) => fill(disk, injected),
                None => continue,
            },
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
    // In peace, what is left ends in minutes, or never will.
    assert!(client.wait().success() || fleet.submit(1, 1).wait().success(), "the orders cannot be started");
    fleet.until_all_ended();
    let found = fleet.check();
    println!("  {} runs, {} steps and undos, {} takeovers", found.runs, found.ends, found.takeovers);
}

fn on_sqlite(plan: &Plan, seed: u64, until: Deadline, injected: &mut Injected) {
    let disk = small_disk();
    // The program's own for as long as this one lives.
    let orders: &'static str = Box::leak(plan.orders.to_string().into_boxed_str());
    let arguments = ["run", "--json", "--concurrency", "64", "--flaky", "5", "--limit", orders];
    let attempts = "SELECT coalesce(max(seq), 0) FROM attempts";
    let victim = Victim::new(&program("order-saga"), Box::leak(Box::new(arguments)), "order-saga-shop.db", attempts);
    if let Some(disk) = &disk {
        let journal = "order-saga.db";
        let linked = std::os::unix::fs::symlink(disk.folder().join(journal), victim.directory().join(journal));
        linked.expect("a link can be made");
    }
    let mut random = Random::new(seed);
    let mut child = victim.start();
    while Instant::now() < until {
        let more = random.below_i64(i64::try_from(plan.orders).unwrap_or(i64::MAX) / 2 + 1);
        if !victim.wait_for(&mut child, more, u64::MAX) {
            break;
        }
        match random.below(10) {
            0..=5 => {
                injected.count("programs killed");
                // One that has ended cannot be killed.
                let _ = child.kill();
                let _ = child.wait();
                child = victim.start();
            }
            6..=7 => {
                if victim.signal(&child, "STOP") {
                    injected.count("programs stopped");
                    last(SECOND * 2, || false);
                    victim.signal(&child, "CONT");
                }
            }
            _ => {
                if let Some(disk) = &disk {
                    fill(disk, injected);
                }
            }
        }
    }
    assert!(holds_in_time(|| !matches!(child.try_wait(), Ok(None))), "the orders do not end, though all goes well");
    victim.finish();
    let (audit, clean) = victim.run(&["audit", "--json", "--limit", orders]);
    assert!(clean, "the audit found a violation: {audit}");
}
