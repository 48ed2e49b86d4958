//! Runs without end, purged in rounds, on a private `PostgreSQL` server: `cargo xtask soak`.
//!
//! After each round it prints how large the tables are and how many of their rows are dead: both
//! have to level off.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use saga_postgres::PostgresStore;
use saga_runtime::prelude::*;
use saga_runtime::store::{Store, Timestamp};
use saga_runtime::{Client, Engine};
use saga_test_server::TestServer;
use saga_tests::{Database, World, last};

const USAGE: &str = "usage: soak [--runs N] [--rounds N]";

/// How long autovacuum may take after a round.
const PATIENCE: Duration = Duration::from_secs(600);

/// So many runs are in flight at once.
const AT_ONCE: usize = 512;

const TABLES: &str = "SELECT relname::text, n_live_tup, n_dead_tup, pg_total_relation_size(relid),
        autovacuum_count FROM pg_stat_user_tables WHERE schemaname = 'saga' ORDER BY 4 DESC";

const QUIET: &str = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'";

/// As many steps as an order takes.
#[workflow]
async fn five_steps(number: u64) -> Result<u64, ActivityError<Never>> {
    let mut sum = 0;
    for _ in 0..5 {
        sum += pass_on(number).await?;
    }
    Ok(sum)
}

/// Nothing fails here.
#[derive(Debug, Clone, Copy, thiserror::Error, serde::Serialize, serde::Deserialize, Classify)]
enum Never {
    #[error("never")]
    #[permanent]
    Never,
}

#[activity]
async fn pass_on(number: u64) -> Result<u64, Never> {
    if number == u64::MAX { Err(Never::Never) } else { Ok(number) }
}

fn plan(mut arguments: impl Iterator<Item = String>) -> Option<(u64, u64)> {
    let (mut runs, mut rounds) = (1_000_000, 20);
    while let Some(name) = arguments.next() {
        let value = arguments.next()?.parse().ok().filter(|value| *value > 0)?;
        match name.as_str() {
            "--runs" => runs = value,
            "--rounds" => rounds = value,
            _ => return None,
        }
    }
    Some((runs, rounds))
}

fn main() -> ExitCode {
    let Some((runs, rounds)) = plan(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let server = TestServer::start_private("autovacuum_naptime = '5s'");
    let database = Database::create(&server);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    for round in 1..=rounds {
        let began = Instant::now();
        runtime.block_on(drive(database.url(), runs / rounds));
        let took = began.elapsed().as_secs_f64();
        let purged = runtime.block_on(purge(database.url()));
        // What autovacuum is at now belongs to this round; on a slow disk it may be at it for long.
        let mut rests = false;
        last(PATIENCE, || {
            rests = database.try_value(QUIET) == Some(0_i64);
            rests
        });
        if !rests {
            println!("autovacuum is still at work after {PATIENCE:?}: the figures are not its last");
        }
        println!("round {round}: {} runs ended in {took:.1} s, {purged} purged", runs / rounds);
        for row in database.rows(TABLES) {
            let (name, live, dead): (String, i64, i64) = (row.get(0), row.get(1), row.get(2));
            let (bytes, vacuums): (i64, i64) = (row.get(3), row.get(4));
            println!("  {name:<12} {live:>9} rows {dead:>9} dead {:>8} KiB {vacuums:>4} autovacuums", bytes / 1024);
        }
    }
    ExitCode::SUCCESS
}

async fn drive(url: &str, runs: u64) {
    let store = PostgresStore::connect(url).await.expect("the store opens");
    let engine = Engine::builder(store).state(World::default()).start().await.expect("the engine starts");
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..runs {
        if tasks.len() >= AT_ONCE {
            tasks.join_next().await;
        }
        tasks.spawn(one(engine.client().clone(), number));
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("no run panics");
    }
    engine.shutdown().await;
}

async fn one(client: Client, number: u64) {
    let run = client.start(five_steps(number)).await.expect("a run starts");
    assert_eq!(run.result().await.expect("a run completes"), 5 * number);
}

/// Deletes all that has ended; how many that was.
async fn purge(url: &str) -> u64 {
    let store = PostgresStore::connect(url).await.expect("the store opens");
    let (mut runs, later) = (0, Timestamp::from_system_clock().after(Duration::from_secs(3600)));
    loop {
        let purged = store.purge(later, 10_000).await.expect("the store purges");
        runs += purged.runs;
        if !purged.more {
            return runs;
        }
    }
}
