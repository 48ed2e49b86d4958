//! Transactional steps on a server, beside raw transactions that write the same.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use saga_postgres::{PostgresStore, PostgresTx};
use saga_runtime::Engine;
use saga_runtime::prelude::*;
use tokio_postgres::NoTls;

use super::{ACCOUNTS, Load, STEPS, account, check, titled};
use crate::figures::{Figures, count};
use crate::load::each;
use crate::meter::Meter;
use crate::place::{Opened, Place};

/// Turns that ours and the raw ones take.
const TURNS: u64 = 4;

/// The statements of a step.
#[derive(Debug)]
struct Ledger {
    read: String,
    write: String,
}

/// Measures.
pub(super) async fn measure(place: &Place, load: Load) -> anyhow::Result<Figures> {
    /// Adds one to a row.
    #[activity(transaction)]
    async fn increment(
        #[state] ledger: &Ledger,
        #[transaction] tx: &mut PostgresTx<'_>,
        account: i64,
    ) -> saga_runtime::Result<i64> {
        let cents: i64 = tx.query_one(&ledger.read, &[&account]).await?.get(0);
        tx.execute(&ledger.write, &[&account, &(cents + 1)]).await?;
        Ok(cents + 1)
    }

    /// So many of them on rows that differ.
    #[workflow]
    async fn increments(first: u64) -> saga_runtime::Result<()> {
        for step in 0..STEPS {
            increment(account(first, step)).await?;
        }
        Ok(())
    }

    let Place::Postgres { url, schema, .. } = place else { anyhow::bail!("this is measured on a server") };
    let store = place.server(load.sessions).await?;
    let session = place.session().await?.context("there is no server")?;
    let table = format!("\"{schema}\".ledger");
    session
        .batch_execute(&format!(
            "CREATE TABLE {table} (account bigint PRIMARY KEY, cents bigint NOT NULL) WITH (fillfactor = 50);
             INSERT INTO {table} SELECT n, 0 FROM generate_series(0, {ACCOUNTS} - 1) AS n"
        ))
        .await?;
    let ledger = || Ledger {
        read: format!("SELECT cents FROM {table} WHERE account = $1 FOR UPDATE"),
        write: format!("UPDATE {table} SET cents = $2 WHERE account = $1"),
    };
    let raw = Raw::open(url, load.sessions, &ledger()).await?;
    let engine = Engine::builder(store.clone()).only::<increments>().state(ledger()).start().await?;
    let meter = Meter::new(place, &Opened::Postgres(store)).await?;
    let before = meter.read().await?;
    let (mut done, mut theirs) = (crate::load::Done { took: Duration::ZERO, times: Vec::new() }, Duration::ZERO);
    let part = load.runs / TURNS;
    for turn in 0..TURNS {
        let client = engine.client().clone();
        let ours = each(part, load.concurrency, move |number| {
            let client = client.clone();
            async move { Ok(client.start(increments((turn * part + number) * 7)).await?.result().await?) }
        });
        let ours = ours.await?;
        done.took += ours.took;
        done.times.extend(ours.times);
        theirs += raw.transactions(part * STEPS).await?;
    }
    let used = meter.read().await?.since(&before);
    engine.shutdown().await;
    let load = Load { runs: part * TURNS, ..load };
    let sum: i64 = session.query_one(&format!("SELECT sum(cents)::bigint FROM {table}"), &[]).await?.get(0);
    check(load, sum - load.steps().cast_signed())?;
    let mut figures = titled(place, load, &mut done);
    let raw_rate = count(load.steps()) / theirs.as_secs_f64();
    figures
        .add("raw_per_second", raw_rate, "raw transactions of the same statements, one a session at a time")
        .add("share_of_raw", count(load.steps()) / done.took.as_secs_f64() / raw_rate * 100.0, "% of them")
        .add(
            "bytes_per_step",
            used.bytes.map(|bytes| bytes / count(2 * load.steps())),
            "bytes written, raw ones included",
        );
    Ok(figures)
}

/// Sessions, each with one transaction at a time.
struct Raw {
    sessions: Arc<Vec<tokio::sync::Mutex<Prepared>>>,
}

struct Prepared {
    session: tokio_postgres::Client,
    read: tokio_postgres::Statement,
    write: tokio_postgres::Statement,
}

impl Raw {
    async fn open(url: &str, sessions: usize, ledger: &Ledger) -> anyhow::Result<Self> {
        let mut all = Vec::new();
        for _ in 0..sessions {
            let (session, connection) = PostgresStore::config(url)?.connect(NoTls).await?;
            tokio::spawn(connection);
            let (read, write) = (session.prepare(&ledger.read).await?, session.prepare(&ledger.write).await?);
            all.push(tokio::sync::Mutex::new(Prepared { session, read, write }));
        }
        Ok(Self { sessions: Arc::new(all) })
    }

    /// So many in all; how long they took.
    async fn transactions(&self, times: u64) -> anyhow::Result<Duration> {
        let sessions = Arc::clone(&self.sessions);
        let done = each(times, sessions.len() as u64, move |number| {
            let sessions = Arc::clone(&sessions);
            async move {
                let at = usize::try_from(number)? % sessions.len();
                let Prepared { session, read, write } = &*sessions[at].lock().await;
                let account = account(number * 7, 0);
                session.batch_execute("BEGIN").await?;
                let cents: i64 = session.query_one(read, &[&account]).await?.get(0);
                session.execute(write, &[&account, &(cents + 1)]).await?;
                Ok(session.batch_execute("COMMIT").await?)
            }
        });
        Ok(done.await?.took)
    }
}
