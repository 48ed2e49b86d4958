//! The limit: the same rows by the same statements, without the engine. Every run is a step
//! further in each call, so that groups are as large as they can be and nobody waits for a task.
//!
//! [`bare`] is further away: rows of the same size in a table without anything else.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use bytes::Bytes;
use saga_sqlite::rusqlite::Connection;
use saga_store::wire::Conclusion;
use saga_store::{
    CommitOutcome, ExecutionId, Incarnation, NewRun, NodeInfo, Nonce, OnExisting, Row, RunCommit, RunId, RunState, Seq,
    Started, StateChange, Store, Then, Timestamp,
};

use crate::load::Load;
use crate::place::Place;

/// The rows of one run as the engine wrote them, and how it ended.
#[derive(Debug, Clone)]
pub struct Template {
    workflow: String,
    bodies: Vec<Bytes>,
    conclusion: Option<Bytes>,
}

impl Template {
    /// Takes a run that has ended apart.
    pub async fn of<S: Store>(store: &S, execution: ExecutionId) -> anyhow::Result<Self> {
        let mut loaded = store.load(&[execution]).await?;
        ensure!(loaded.len() == 1, "the run to copy is not there");
        let run = loaded.remove(0);
        let bodies = run.journal.into_iter().map(|row| row.body).collect();
        let view = store.get_execution(execution).await?;
        let conclusion = view.and_then(|view| view.conclusion);
        let workflow = run.view.workflow;
        Ok(Self { workflow, bodies, conclusion })
    }

    /// Rows of a run.
    pub fn rows(&self) -> usize {
        self.bodies.len()
    }

    /// Bytes of a row.
    pub fn size(&self) -> usize {
        self.bodies.iter().map(Bytes::len).sum::<usize>() / self.bodies.len().max(1)
    }

    fn started(&self, worker: Incarnation, number: u64) -> anyhow::Result<NewRun> {
        let now = Timestamp::from_system_clock();
        let mut random = [0; 10];
        random[2..].copy_from_slice(&number.to_be_bytes());
        let execution = ExecutionId::generate(now, &random);
        Ok(NewRun {
            id: RunId::new(execution.to_string())?,
            execution,
            workflow: self.workflow.clone(),
            version: 1,
            lane: String::new(),
            priority: 0,
            not_before: None,
            attributes: Vec::new(),
            memo: None,
            input_digest: 0,
            first: self.bodies[0].clone(),
            nonce: Nonce(number),
            blobs: Vec::new(),
            messages: Vec::new(),
            claim_for: Some(worker),
            on_existing: OnExisting::Return,
        })
    }

    fn commit(&self, worker: Incarnation, execution: ExecutionId, seq: usize) -> RunCommit {
        let last = seq + 1 == self.bodies.len();
        let conclusion = || {
            let failed = || saga_store::wire::encode(&Conclusion::Dead { reason: "no ending".to_owned() });
            StateChange { state: RunState::Completed, conclusion: Some(self.conclusion.clone().unwrap_or_else(failed)) }
        };
        RunCommit {
            rows: vec![Row { body: self.bodies[seq].clone(), more: false }],
            change: last.then(conclusion),
            then: if last { Then::End } else { Then::Keep },
            ..RunCommit::empty(execution, worker, Seq(seq as u64), Nonce(seq as u64))
        }
    }
}

/// How long it took: all together, and each group of runs from its start to its end.
#[derive(Debug, Clone)]
pub struct Written {
    /// All together.
    pub took: Duration,
    /// Each group of runs that were written together.
    pub groups: Vec<Duration>,
}

/// A worker of its own for the limit's runs.
#[derive(Debug, Clone, Copy)]
pub struct LimitWorker(Incarnation);

impl LimitWorker {
    /// Joins.
    pub async fn join<S: Store>(store: &S) -> anyhow::Result<Self> {
        let incarnation =
            Incarnation::from_bytes(*uuid::Uuid::from_u64_pair(1, u64::from(std::process::id())).as_bytes());
        // Nobody beats for it: its lease must outlast the measurement.
        let build = saga_store::BuildId("limit".into());
        let node = NodeInfo { name: "limit".to_owned(), incarnation, build, lease: Duration::from_secs(86_400) };
        store.join(&node).await?;
        Ok(Self(incarnation))
    }

    /// Leaves.
    pub async fn leave<S: Store>(self, store: &S) -> anyhow::Result<()> {
        Ok(store.leave(self.0).await?)
    }

    /// Writes the rows of so many runs, in so many calls at once (`lanes`), which share the runs.
    pub async fn write<S: Store + Clone>(
        self,
        store: &S,
        template: &Template,
        load: Load,
        lanes: u64,
    ) -> anyhow::Result<Written> {
        let lanes = lanes.clamp(1, load.concurrency);
        let begun = Instant::now();
        let tasks: Vec<_> = (0..lanes)
            .map(|lane| {
                let (store, template) = (store.clone(), template.clone());
                let runs = load.runs / lanes + u64::from(lane < load.runs % lanes);
                let at_once = (load.concurrency / lanes).max(1);
                tokio::spawn(async move { self.lane(&store, &template, lane, runs, at_once).await })
            })
            .collect();
        let mut groups = Vec::new();
        for task in tasks {
            groups.extend(task.await??);
        }
        Ok(Written { took: begun.elapsed(), groups })
    }

    async fn lane<S: Store>(
        self,
        store: &S,
        template: &Template,
        lane: u64,
        runs: u64,
        at_once: u64,
    ) -> anyhow::Result<Vec<Duration>> {
        let (mut left, mut groups) = (runs, Vec::new());
        while left > 0 {
            let begun = Instant::now();
            let group = left.min(at_once);
            left -= group;
            let started: Vec<_> = (0..group)
                .map(|number| template.started(self.0, (lane << 40) | (left + number)))
                .collect::<anyhow::Result<_>>()?;
            let executions: Vec<_> = started.iter().map(|run| run.execution).collect();
            let answers = store.start(started).await?;
            ensure!(answers.iter().all(|answer| matches!(answer, Started::New)), "a start was refused");
            for seq in 1..template.rows() {
                let commits = executions.iter().map(|execution| template.commit(self.0, *execution, seq)).collect();
                let outcomes = store.commit(commits).await.map_err(|error| error.error)?;
                let applied = outcomes.iter().all(|outcome| matches!(outcome, CommitOutcome::Applied(_)));
                ensure!(applied, "a commit was refused");
            }
            groups.push(begun.elapsed());
        }
        Ok(groups)
    }
}

/// Rows of this size in a bare table of the same store, `group` a transaction. A group of the
/// answer is as many transactions as a run has rows.
pub async fn bare(place: &Place, row_size: usize, a_run: usize, rows: u64, group: u64) -> anyhow::Result<Written> {
    match (place, place.session().await?) {
        (Place::Sqlite { path, .. }, _) => {
            let path = path.with_extension("bare");
            let bare = move || bare_file(&path, row_size, a_run, rows, group);
            tokio::task::spawn_blocking(bare).await?
        }
        (Place::Postgres { schema, .. }, Some(session)) => {
            bare_server(&session, schema, (row_size, a_run), rows, group).await
        }
        (Place::Postgres { .. }, None) => anyhow::bail!("there is no server"),
    }
}

fn bare_file(path: &Path, row_size: usize, a_run: usize, rows: u64, group: u64) -> anyhow::Result<Written> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch("CREATE TABLE IF NOT EXISTS journal (row INTEGER PRIMARY KEY, body BLOB)")?;
    let mut insert = connection.prepare("INSERT INTO journal (body) VALUES (?1)")?;
    let (mut open, mut close) = (connection.prepare("BEGIN IMMEDIATE")?, connection.prepare("COMMIT")?);
    let body = vec![7_u8; row_size];
    let mut laps = Laps::new(a_run);
    let mut left = rows;
    while left > 0 {
        open.execute([])?;
        for _ in 0..left.min(group) {
            insert.execute([&body])?;
        }
        close.execute([])?;
        left -= left.min(group);
        laps.transaction();
    }
    Ok(laps.end())
}

async fn bare_server(
    session: &tokio_postgres::Client,
    schema: &str,
    (row_size, a_run): (usize, usize),
    rows: u64,
    group: u64,
) -> anyhow::Result<Written> {
    let table = format!("\"{schema}\".bare");
    let create = format!(
        "CREATE TABLE IF NOT EXISTS {table} (execution uuid, seq bigint, nonce bigint, more boolean, body bytea,
            PRIMARY KEY (execution, seq))"
    );
    session.batch_execute(&create).await?;
    let insert = format!(
        "INSERT INTO {table} SELECT e, s, 1, false, b FROM unnest($1::uuid[], $2::int8[], $3::bytea[]) AS r (e, s, b)
            ON CONFLICT DO NOTHING"
    );
    let insert = session.prepare(&insert).await?;
    let body = vec![7_u8; row_size];
    let mut laps = Laps::new(a_run);
    let mut left = rows;
    let mut executions: Vec<uuid::Uuid> = Vec::new();
    let mut seq = 0_i64;
    while left > 0 {
        let size = usize::try_from(left.min(group))?;
        if seq % 12 == 0 {
            let fresh = |_| *ExecutionId::generate(Timestamp::from_system_clock(), &rand_bytes(left, seq)).as_uuid();
            executions = (0..size).map(fresh).collect();
            executions
                .iter_mut()
                .enumerate()
                .for_each(|(at, id)| *id = uuid::Uuid::from_u128(id.as_u128() ^ at as u128));
        }
        let seqs = vec![seq; size];
        let bodies: Vec<&[u8]> = vec![&body; size];
        session.execute(&insert, &[&&executions[..size], &seqs, &bodies]).await?;
        seq += 1;
        left -= size as u64;
        laps.transaction();
    }
    Ok(laps.end())
}

/// Times as many transactions as a run has rows.
struct Laps {
    a_run: usize,
    begun: Instant,
    lap: Instant,
    transactions: usize,
    groups: Vec<Duration>,
}

impl Laps {
    fn new(a_run: usize) -> Self {
        let now = Instant::now();
        Self { a_run, begun: now, lap: now, transactions: 0, groups: Vec::new() }
    }

    fn transaction(&mut self) {
        self.transactions += 1;
        if self.transactions.is_multiple_of(self.a_run) {
            self.groups.push(self.lap.elapsed());
            self.lap = Instant::now();
        }
    }

    fn end(self) -> Written {
        Written { took: self.begun.elapsed(), groups: self.groups }
    }
}

fn rand_bytes(left: u64, seq: i64) -> [u8; 10] {
    let mut bytes = [0; 10];
    bytes[..8].copy_from_slice(&(left.rotate_left(24) ^ seq.cast_unsigned()).to_be_bytes());
    bytes
}
