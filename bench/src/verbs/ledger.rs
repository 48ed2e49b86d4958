//! Transactional steps: each reads, increments and writes one of 1,000 rows in the transaction
//! that records it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use saga_runtime::prelude::*;
use saga_sqlite::SqliteTx;

use super::Common;
use crate::figures::{Figures, count, millis, percentile};
use crate::meter::Meter;
use crate::place::Opened;

const ACCOUNTS: u64 = 1_000;

/// What `ledger` takes.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    /// Runs in all, of ten steps each.
    #[arg(long, default_value_t = 2_000)]
    runs: u64,
    /// Runs at once.
    #[arg(long, default_value_t = 64)]
    concurrency: u64,
}

/// Measures, and checks that each step was counted exactly once.
pub async fn run(options: Options) -> anyhow::Result<()> {
    const STEPS: u64 = 10;

    // Inside the function, an activity for this store alone does not keep engines on others from
    // starting.
    /// Adds one to a row.
    #[activity(transaction)]
    fn increment(#[transaction] tx: &SqliteTx<'_>, account: u64) -> saga_runtime::Result<i64> {
        let read = "SELECT cents FROM ledger WHERE account = ?1";
        let cents: i64 = tx.query_row(read, [account.cast_signed()], |row| row.get(0))?;
        tx.execute("UPDATE ledger SET cents = ?2 WHERE account = ?1", [account.cast_signed(), cents + 1])?;
        Ok(cents + 1)
    }

    /// So many of them on rows that differ.
    #[workflow]
    async fn increments(first: u64, steps: u64) -> saga_runtime::Result<()> {
        for step in 0..steps {
            increment((first + step * 37) % ACCOUNTS).await?;
        }
        Ok(())
    }

    let place = options.common.place().await?;
    let opened = place.open().await?;
    let Opened::Sqlite(store) = &opened else {
        anyhow::bail!("transactional steps are measured on SQLite; name a file or `sqlite`");
    };
    let fill = format!(
        "CREATE TABLE ledger (account INTEGER PRIMARY KEY, cents INTEGER NOT NULL);
        WITH RECURSIVE a (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM a WHERE n + 1 < {ACCOUNTS})
        INSERT INTO ledger SELECT n, 0 FROM a"
    );
    store.db().setup(move |tx| tx.execute_batch(&fill)).await?;
    let engine = opened.engine().only::<increments>().start().await?;
    let meter = Meter::new(&place, &opened).await?;
    let next = Arc::new(AtomicU64::new(0));
    let (before, begun) = (meter.read().await?, Instant::now());
    let tasks: Vec<_> = (0..options.concurrency)
        .map(|_| {
            let (client, next) = (engine.client().clone(), Arc::clone(&next));
            tokio::spawn(async move {
                let mut times = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= options.runs {
                        return anyhow::Ok(times);
                    }
                    let begun = Instant::now();
                    client.start(increments(number * 7, STEPS)).await?.result().await?;
                    times.push(begun.elapsed());
                }
            })
        })
        .collect();
    let mut times: Vec<Duration> = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    let (seconds, used) = (begun.elapsed().as_secs_f64(), meter.read().await?.since(&before));
    let sum: i64 =
        store.db().read(|file| file.query_row("SELECT sum(cents) FROM ledger", [], |row| row.get(0))).await?;
    engine.shutdown().await;
    let steps = options.runs * STEPS;
    anyhow::ensure!(sum.cast_unsigned() == steps, "{steps} steps were made, the rows count {sum}");
    let mut figures =
        Figures::new(format!("{}: {} transactional steps, {} runs at once", place.kind(), steps, options.concurrency));
    figures.add("steps_per_second", count(steps) / seconds, "each exactly once").add(
        "p50",
        millis(percentile(&mut times, 0.5)),
        "ms a run of ten steps",
    );
    used.add_to(&mut figures, count(steps), count(options.runs * (STEPS + 2)));
    figures.print(options.common.json);
    Ok(())
}
