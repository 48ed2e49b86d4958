//! What work costs beside time: processor time of this program and of the server, memory,
//! statements, bytes. What a machine or a server cannot tell is left open.

use std::path::Path;

use saga_sqlite::SqliteStore;
use tokio_postgres::Client;

use crate::figures::Figures;
use crate::place::{Opened, Place};

/// Reads the counters of a store and of this process.
pub struct Meter {
    source: Source,
}

enum Source {
    File(SqliteStore),
    Server { session: Client, postmaster: Option<u32>, statistics: bool },
}

/// The counters at a moment; the difference of two is what happened in between.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reading {
    /// Processor seconds of this process.
    pub client_cpu: Option<f64>,
    /// Processor seconds of the server, if it is on this machine.
    pub server_cpu: Option<f64>,
    /// Statements that the server has executed; it needs the extension `pg_stat_statements`.
    pub statements: Option<f64>,
    /// Group commits: calls of the store's statements that start and commit, or transactions of the file.
    pub commits: Option<f64>,
    /// Bytes of the server's log; or all that this process has written, log and file.
    pub bytes: Option<f64>,
}

impl Meter {
    /// For an open store.
    pub async fn new(place: &Place, opened: &Opened) -> anyhow::Result<Self> {
        let source = match (opened, place.session().await?) {
            (Opened::Sqlite(store), _) => Source::File(store.clone()),
            (Opened::Postgres(_), None) => anyhow::bail!("a server's store is not in a file"),
            (Opened::Postgres(_), Some(session)) => {
                let pid: i32 = session.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
                let postmaster = stat(pid.unsigned_abs()).map(|stat| stat.parent);
                // Only a superuser may, and only where the library is loaded.
                let statistics = session.batch_execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").await;
                let readable = session.execute("SELECT FROM pg_stat_statements LIMIT 1", &[]).await;
                Source::Server { session, postmaster, statistics: statistics.is_ok() && readable.is_ok() }
            }
        };
        Ok(Self { source })
    }

    /// The counters now.
    pub async fn read(&self) -> anyhow::Result<Reading> {
        let client_cpu = stat(std::process::id()).map(|stat| stat.own);
        match &self.source {
            Source::File(store) => Ok(Reading {
                client_cpu,
                server_cpu: None,
                statements: None,
                commits: Some(crate::figures::count(store.db().stats().transactions)),
                bytes: written(),
            }),
            Source::Server { session, postmaster, statistics } => {
                let bytes = session
                    .query_one("SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::float8", &[])
                    .await
                    .ok()
                    .map(|row| row.get(0));
                let (statements, commits) = if *statistics { calls(session).await? } else { (None, None) };
                let server_cpu = postmaster.map(server_time);
                Ok(Reading { client_cpu, server_cpu, statements, commits, bytes })
            }
        }
    }
}

async fn calls(session: &Client) -> anyhow::Result<(Option<f64>, Option<f64>)> {
    let sql = "SELECT sum(calls)::float8,
            sum(calls) FILTER (WHERE query SIMILAR TO '-- (lean|close|full|start)%')::float8
        FROM pg_stat_statements WHERE query NOT LIKE '%pg_stat_statements%' AND query NOT LIKE '%pg_current_wal%'";
    let row = session.query_one(sql, &[]).await?;
    Ok((row.get(0), row.get::<_, Option<f64>>(1).or(Some(0.0))))
}

impl Reading {
    /// What happened since an earlier one.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let minus = |now: Option<f64>, before: Option<f64>| Some(now? - before?);
        Self {
            client_cpu: minus(self.client_cpu, before.client_cpu),
            server_cpu: minus(self.server_cpu, before.server_cpu),
            statements: minus(self.statements, before.statements),
            commits: minus(self.commits, before.commits),
            bytes: minus(self.bytes, before.bytes),
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let plus = |one: Option<f64>, other: Option<f64>| Some(one? + other?);
        Self {
            client_cpu: plus(self.client_cpu, other.client_cpu),
            server_cpu: plus(self.server_cpu, other.server_cpu),
            statements: plus(self.statements, other.statements),
            commits: plus(self.commits, other.commits),
            bytes: plus(self.bytes, other.bytes),
        }
    }

    /// Adds figures for so many steps, whose journals have so many rows.
    pub fn add_to(&self, figures: &mut Figures, steps: f64, rows: f64) {
        figures
            .add("commits", self.commits, "group commits")
            .add("rows_per_commit", self.commits.map(|commits| rows / commits.max(1.0)), "")
            .add("statements_per_step", self.statements.map(|statements| statements / steps), "")
            .add("bytes_per_step", self.bytes.map(|bytes| bytes / steps), "bytes written")
            .add("client_cpu", self.client_cpu, "s")
            .add("client_cpu_per_step", self.client_cpu.map(|cpu| cpu / steps * 1e6), "µs")
            .add("server_cpu", self.server_cpu, "s")
            .add("server_cpu_per_step", self.server_cpu.map(|cpu| cpu / steps * 1e6), "µs")
            .add("peak_memory", peak_memory(), "MiB");
    }
}

struct Stat {
    parent: u32,
    /// Seconds of the process itself.
    own: f64,
    /// Seconds of its children that have ended.
    ended_children: f64,
}

/// What Linux says of a process.
fn stat(pid: u32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may have spaces in it.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    let seconds = |first: usize| Some((ticks(first)? + ticks(first + 1)?) / 100.0);
    Some(Stat { parent: fields.get(1)?.parse().ok()?, own: seconds(11)?, ended_children: seconds(13)? })
}

/// Seconds of all processes of a server.
fn server_time(postmaster: u32) -> f64 {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let children: f64 = processes
        .filter_map(|entry| stat(entry.file_name().to_str()?.parse().ok()?))
        .filter(|stat| stat.parent == postmaster)
        .map(|stat| stat.own)
        .sum();
    children + stat(postmaster).map_or(0.0, |stat| stat.own + stat.ended_children)
}

/// Bytes that this process has written to files and sockets.
fn written() -> Option<f64> {
    field(Path::new("/proc/self/io"), "wchar:")
}

/// The most memory that this process has had, in MiB.
pub fn peak_memory() -> Option<f64> {
    field(Path::new("/proc/self/status"), "VmHWM:").map(|kib| kib / 1024.0)
}

/// The memory that this process has now, in bytes.
pub fn memory() -> Option<f64> {
    field(Path::new("/proc/self/status"), "VmRSS:").map(|kib| kib * 1024.0)
}

/// Processor seconds of this process so far.
pub fn processor_time() -> Option<f64> {
    stat(std::process::id()).map(|stat| stat.own)
}

fn field(file: &Path, name: &str) -> Option<f64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
