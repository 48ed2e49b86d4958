//! How fast the store alone is: many tasks commit one row at a time in a loop, and what gathers
//! while one call is under way is the next call, as in the engine.
//!
//! `cargo run --release -p saga-postgres --example group_commit -- URL [TASKS] [COMMITS A TASK]`

use std::time::Instant;

use bytes::Bytes;
use saga_postgres::PostgresStore;
use saga_store::{
    CommitOutcome, ExecutionId, Incarnation, NewRun, NodeInfo, Nonce, OnExisting, Row, RunCommit, RunId, Seq, Store,
    Then, Timestamp,
};
use tokio::sync::{mpsc, oneshot};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

struct Job {
    commit: RunCommit,
    answer: oneshot::Sender<CommitOutcome>,
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("name a database: postgres://user@host/database")?;
    let tasks: u64 = arguments.next().map_or(Ok(256), |text| text.parse())?;
    let commits: u64 = arguments.next().map_or(Ok(2_000), |text| text.parse())?;
    let schema = format!("bench_{}", std::process::id());
    let store = PostgresStore::builder(&url).schema(&schema).connect().await?;
    let lease = std::time::Duration::from_secs(12);
    let worker = Incarnation::from_bytes([1; 16]);
    store.join(&NodeInfo { name: "bench".to_owned(), incarnation: worker, lease }).await?;

    let runs: Vec<_> = (0..tasks).map(|number| new_run(number, worker)).collect::<Outcome<_>>()?;
    let executions: Vec<_> = runs.iter().map(|run| run.execution).collect();
    let begun = Instant::now();
    store.start(runs).await?;
    println!("{tasks} starts in one call: {:.1} ms", begun.elapsed().as_secs_f64() * 1e3);

    let (jobs, gathered) = mpsc::unbounded_channel();
    let begun = Instant::now();
    let committer = tokio::spawn(commit_all(store.clone(), gathered));
    let drivers: Vec<_> =
        executions.into_iter().map(|execution| tokio::spawn(drive(jobs.clone(), worker, execution, commits))).collect();
    drop(jobs);
    for driver in drivers {
        driver.await??;
    }
    let calls = committer.await??;
    let seconds = begun.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "for people to read")]
    let (rows, calls_f) = ((tasks * commits) as f64, calls as f64);
    println!(
        "{rows} rows in {seconds:.2} s: {:.0} rows/s, {calls} calls, {:.1} rows each, {:.0} µs each",
        rows / seconds,
        rows / calls_f,
        seconds * 1e6 / calls_f,
    );
    println!("the schema {schema} is left for you to look at: DROP SCHEMA {schema} CASCADE");
    Ok(())
}

async fn commit_all(store: PostgresStore, mut jobs: mpsc::UnboundedReceiver<Job>) -> Outcome<u64> {
    let mut gathered = Vec::new();
    let mut calls = 0;
    while jobs.recv_many(&mut gathered, 1_024).await > 0 {
        calls += 1;
        let (commits, answers): (Vec<_>, Vec<_>) = gathered.drain(..).map(|job| (job.commit, job.answer)).unzip();
        let outcomes = store.commit(commits).await.map_err(|error| error.error)?;
        for (answer, outcome) in answers.into_iter().zip(outcomes) {
            // A driver that has failed says so itself.
            drop(answer.send(outcome));
        }
    }
    Ok(calls)
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

async fn drive(
    jobs: mpsc::UnboundedSender<Job>,
    owner: Incarnation,
    execution: ExecutionId,
    commits: u64,
) -> Outcome<()> {
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
        let (answer, outcome) = oneshot::channel();
        jobs.send(Job { commit, answer }).map_err(|_| "the committer has failed")?;
        let outcome = outcome.await?;
        if !matches!(outcome, CommitOutcome::Applied(_)) {
            return Err(format!("a commit was not applied: {outcome:?}").into());
        }
    }
    Ok(())
}
