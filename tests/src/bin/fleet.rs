//! The order pipeline over any file of orders by several worker processes on one server:
//! `cargo xtask fleet`.
//!
//! With `--kill-each` a worker is killed and replaced so often; with `--away` the server is stopped
//! for so long once a third of the orders have ended. Prints the rate, each worker's share of the attempts, what was killed, and the audit: the
//! shop's books are held against the orders' file, and the journals are read.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use saga_test_server::TestServer;
use saga_tests::{Database, Fleet, Orders, Random, Worker, last};

const USAGE: &str = "usage: fleet [--orders FILE] [--workers N] [--kill-each SECONDS] [--away SECONDS] [--seed N]";

struct Plan {
    orders: Option<PathBuf>,
    workers: usize,
    kill_each: Option<Duration>,
    away: Option<Duration>,
    seed: u64,
}

fn main() -> ExitCode {
    let Some(plan) = plan(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let orders = plan.orders.as_deref().map_or_else(|| Orders::bundled(7000), Orders::of_file);
    let server = TestServer::start_private("");
    let mut fleet = Fleet::of(Database::create(&server), orders);
    println!("{} orders, {} workers", fleet.orders(), plan.workers);
    fleet.submit_all();
    let began = Instant::now();
    let mut workers = fleet.workers(plan.workers);
    if let Some(away) = plan.away {
        fleet.until_ended(fleet.orders() / 3);
        server.control(&["-w", "-m", "immediate", "stop"]);
        last(away, || false);
        server.control(&["-w", "start"]);
        println!("the server was away for {} s", away.as_secs());
    }
    let mut random = Random::new(plan.seed);
    let mut kills = 0;
    loop {
        last(plan.kill_each.unwrap_or(Duration::MAX), || fleet.ended() >= fleet.orders());
        if fleet.ended() >= fleet.orders() {
            break;
        }
        if plan.kill_each.is_some() {
            let victim = random.below(workers.len() as u64);
            workers.swap_remove(usize::try_from(victim).unwrap_or_default()).kill();
            workers.push(fleet.worker());
            kills += 1;
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "there are not so many orders")]
    let rate = fleet.orders() as f64 / seconds;
    println!("{seconds:.1} s, {rate:.0} orders/s, {kills} workers killed");
    let attempts: Vec<u64> = workers.into_iter().map(Worker::stop).collect();
    let all: u64 = attempts.iter().sum::<u64>().max(1);
    let shares: Vec<String> = attempts.iter().map(|of_one| format!("{} %", of_one * 100 / all)).collect();
    println!("attempts of the workers that are alive: {attempts:?}, which is {}", shares.join(", "));
    let found = fleet.check();
    if kills == 0 {
        assert!(attempts.iter().all(|of_one| of_one * 100 / all * plan.workers as u64 >= 60), "the work is not shared");
        assert_eq!(found.takeovers, 0, "live runs were taken over");
    }
    println!("audit clean: {} runs, {} steps and undos, {} takeovers", found.runs, found.ends, found.takeovers);
    ExitCode::SUCCESS
}

fn plan(mut arguments: impl Iterator<Item = String>) -> Option<Plan> {
    let mut plan = Plan { orders: None, workers: 4, kill_each: None, away: None, seed: 1 };
    while let Some(name) = arguments.next() {
        let value = arguments.next()?;
        match name.as_str() {
            "--orders" => plan.orders = Some(value.into()),
            "--workers" => plan.workers = value.parse().ok().filter(|workers| *workers > 0)?,
            "--kill-each" => plan.kill_each = Some(seconds(&value)?),
            "--away" => plan.away = Some(seconds(&value)?),
            "--seed" => plan.seed = value.parse().ok()?,
            _ => return None,
        }
    }
    Some(plan)
}

fn seconds(text: &str) -> Option<Duration> {
    text.parse().ok().filter(|seconds| *seconds > 0).map(Duration::from_secs)
}
