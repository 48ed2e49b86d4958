//! Commits that a store takes with a call that waits for its turn: each run has its own answer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use saga_runtime::prelude::*;
use saga_runtime::store::{
    CommitError, CommitOutcome, ErrorKind, ExecutionId, Gathering, RunCommit, Store, StoreError,
};
use saga_runtime::{Outcome, Result};
use saga_store::conformance::lab::again;

#[activity]
async fn add_one(number: u64) -> Result<u64> {
    Ok(number + 1)
}

#[workflow]
async fn three_more(number: u64) -> Result<u64> {
    let number = add_one(number).await?;
    let number = add_one(number).await?;
    Ok(add_one(number).await?)
}

/// A store that lets commits gather before it begins, rejects one that it has taken late, and is away
/// after it has taken some: before they are applied, and after.
#[derive(Clone)]
struct Patient {
    inner: MemoryStore,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    /// Calls that took some late.
    calls: AtomicUsize,
    /// The run of which a record was not taken.
    rejected: OnceLock<ExecutionId>,
}

type Answer = std::result::Result<Vec<CommitOutcome>, CommitError>;

impl Store for Patient {
    async fn commit(&self, commits: Vec<RunCommit>) -> Answer {
        self.inner.commit(commits).await
    }

    async fn commit_gathering(&self, mut commits: Vec<RunCommit>, gathering: Arc<dyn Gathering>) -> Answer {
        // On one thread all that can go on has had its turn then.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let before = commits.len();
        gathering.take_into(&mut commits);
        if commits.len() == before {
            return self.inner.commit(commits).await;
        }
        match self.seen.calls.fetch_add(1, Ordering::Relaxed) {
            0 => {
                let late = commits.remove(before);
                self.seen.rejected.set(late.execution).unwrap();
                let mut outcomes = self.inner.commit(commits).await?;
                outcomes.insert(before, CommitOutcome::Rejected("told to by the test".to_owned()));
                Ok(outcomes)
            }
            given @ (1 | 2) => {
                if given == 2 {
                    // They are applied, and their answer is lost.
                    self.inner.commit(commits.iter().map(again).collect()).await?;
                }
                Err(CommitError { error: StoreError::new(ErrorKind::Unavailable, "away"), commits })
            }
            _ => self.inner.commit(commits).await,
        }
    }

    fn commit_lanes(&self) -> usize {
        2
    }

    saga_store::forward! {
        kind join beat leave start transact start_within tell deliver claim adopt reconcile next_wake load inbox
        outbox forget blobs hints get get_execution ended list purge purge_these
    }
}

#[tokio::test]
async fn each_run_has_the_answer_to_its_own_commit() {
    let store = Patient { inner: MemoryStore::new(), seen: Arc::default() };
    let seen = Arc::clone(&store.seen);
    let engine = Engine::builder(store).start().await.unwrap();
    for wave in 0..6 {
        let mut runs = Vec::new();
        for number in 0..20 {
            runs.push(engine.client().start(three_more(number)).await.unwrap());
        }
        for (number, run) in (0..).zip(runs) {
            let outcome = run.outcome().await.unwrap();
            let rejected = seen.rejected.get() == Some(&run.execution());
            match outcome {
                Outcome::Dead(reason) if rejected => assert!(reason.contains("told to by the test"), "{reason}"),
                Outcome::Completed(more) if !rejected => assert_eq!(more, number + 3),
                other => panic!("run {number} of wave {wave}: {other:?}"),
            }
        }
    }
    assert_eq!(engine.tally().refused_commits, 0);
    assert!(seen.rejected.get().is_some() && seen.calls.load(Ordering::Relaxed) > 2);
    engine.shutdown().await;
}
