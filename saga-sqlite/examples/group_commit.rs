//! How fast the store alone is: many tasks commit one row at a time in a loop.
//!
//! `cargo run --release -p saga-sqlite --example group_commit -- [TASKS] [COMMITS A TASK]`

use std::time::Instant;

use bytes::Bytes;
use saga_sqlite::SqliteStore;
use saga_store::{
    ExecutionId, Incarnation, NewRun, NodeInfo, Nonce, OnExisting, Row, RunCommit, RunId, Seq, Store, Then, Timestamp,
};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let tasks: u64 = arguments.next().map_or(Ok(256), |text| text.parse())?;
    let commits: u64 = arguments.next().map_or(Ok(4_000), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let store = SqliteStore::open(folder.path().join("bench.db")).await?;
    let worker = Incarnation::from_bytes([1; 16]);
    let lease = std::time::Duration::from_secs(12);
    store.join(&NodeInfo { name: "bench".to_owned(), incarnation: worker, lease }).await?;

    let runs: Vec<_> = (0..tasks).map(|number| new_run(number, worker)).collect::<Outcome<_>>()?;
    let executions: Vec<_> = runs.iter().map(|run| run.execution).collect();
    store.start(runs).await?;

    let before = store.db().stats();
    let begun = Instant::now();
    let drivers: Vec<_> = executions
        .into_iter()
        .map(|execution| tokio::spawn(drive(store.clone(), worker, execution, commits)))
        .collect();
    for driver in drivers {
        driver.await??;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let after = store.db().stats();
    let (rows, transactions) = (after.rows - before.rows, after.transactions - before.transactions);
    #[expect(clippy::cast_precision_loss, reason = "for people to read")]
    let (rows_f, transactions_f) = (rows as f64, transactions as f64);
    println!(
        "{rows} rows in {seconds:.2} s: {:.0} rows/s, {transactions} transactions, {:.1} rows each, {:.0} µs each",
        rows_f / seconds,
        rows_f / transactions_f,
        seconds * 1e6 / transactions_f,
    );
    Ok(())
}

fn new_run(number: u64, worker: Incarnation) -> Outcome<NewRun> {
    let now = Timestamp::from_system_clock();
    let mut random = [0; 10];
    random[2..].copy_from_slice(&number.to_be_bytes());
    Ok(NewRun {
        id: RunId::new(format!("RUN-{number}"))?,
        execution: ExecutionId::generate(now, &random),
        workflow: "bench".to_owned(),
        version: 1,
        lane: String::new(),
        priority: 0,
        not_before: None,
        attributes: Vec::new(),
        input_digest: 0,
        first: Bytes::from_static(b"{}"),
        nonce: Nonce(number),
        blobs: Vec::new(),
        messages: Vec::new(),
        claim_for: Some(worker),
        on_existing: OnExisting::Return,
    })
}

async fn drive(store: SqliteStore, owner: Incarnation, execution: ExecutionId, commits: u64) -> Outcome<()> {
    let body = Bytes::from(vec![7; 120]);
    for seq in 1..=commits {
        let commit = RunCommit {
            execution,
            owner,
            seq: Seq(seq),
            nonce: Nonce(seq),
            rows: vec![Row { body: body.clone(), more: false }],
            blobs: Vec::new(),
            inbox_seen: None,
            outbox: Vec::new(),
            sent: Vec::new(),
            change: None,
            status: None,
            then: Then::Keep,
            tx: None,
        };
        let answers = store.commit(vec![commit]).await.map_err(|error| error.error)?;
        if !matches!(answers[..], [saga_store::CommitOutcome::Applied(_)]) {
            return Err(format!("a commit was not applied: {answers:?}").into());
        }
    }
    Ok(())
}
