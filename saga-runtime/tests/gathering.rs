//! Commits that a store takes with a call that waits for its turn: each run has its own answer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use saga_runtime::prelude::*;
use saga_runtime::store::{
    CommitError, CommitOutcome, ErrorKind, ExecutionId, Gathering, RunCommit, Seq, Store, StoreError,
};
use saga_runtime::{Outcome, Result};

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

/// A store that lets commits gather before it begins, is away now and then after it has taken them, and
/// rejects one record of one run.
#[derive(Clone)]
struct Patient {
    inner: MemoryStore,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    calls: AtomicUsize,
    taken: AtomicUsize,
    given_back: AtomicUsize,
    /// The run of which a record is not taken.
    rejected: Mutex<Option<ExecutionId>>,
}

impl Patient {
    async fn begin(&self, mut commits: Vec<RunCommit>) -> std::result::Result<Vec<CommitOutcome>, CommitError> {
        let bad = *self.seen.rejected.lock().unwrap();
        let at = commits.iter().position(|commit| Some(commit.execution) == bad && commit.seq == Seq(2));
        let Some(at) = at else { return self.inner.commit(commits).await };
        *self.seen.rejected.lock().unwrap() = None;
        drop(commits.remove(at));
        let mut outcomes = self.inner.commit(commits).await?;
        outcomes.insert(at, CommitOutcome::Rejected("told to by the test".to_owned()));
        Ok(outcomes)
    }
}

impl Store for Patient {
    async fn commit(&self, commits: Vec<RunCommit>) -> std::result::Result<Vec<CommitOutcome>, CommitError> {
        self.begin(commits).await
    }

    async fn commit_gathering(
        &self,
        mut commits: Vec<RunCommit>,
        gathering: Arc<dyn Gathering>,
    ) -> std::result::Result<Vec<CommitOutcome>, CommitError> {
        // On one thread all that can go on has had its turn then.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let before = commits.len();
        gathering.take_into(&mut commits);
        let taken = commits.len() - before;
        self.seen.taken.fetch_add(taken, Ordering::Relaxed);
        if taken > 0 && self.seen.calls.fetch_add(1, Ordering::Relaxed) % 2 == 1 {
            self.seen.given_back.fetch_add(taken, Ordering::Relaxed);
            return Err(CommitError { error: StoreError::new(ErrorKind::Unavailable, "away"), commits });
        }
        self.begin(commits).await
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
    for wave in 0..4 {
        let mut runs = Vec::new();
        for number in 0..20 {
            let run = engine.client().start(three_more(number)).await.unwrap();
            if (wave, number) == (1, 13) {
                *seen.rejected.lock().unwrap() = Some(run.execution());
            }
            runs.push(run);
        }
        for (number, run) in (0..).zip(runs) {
            let rejected = (wave, number) == (1, 13);
            match run.outcome().await.unwrap() {
                Outcome::Dead(reason) if rejected => assert!(reason.contains("told to by the test"), "{reason}"),
                Outcome::Completed(more) if !rejected => assert_eq!(more, number + 3),
                other => panic!("run {number} of wave {wave}: {other:?}"),
            }
        }
    }
    assert_eq!(engine.tally().refused_commits, 0);
    let [taken, given_back] = [&seen.taken, &seen.given_back].map(|count| count.load(Ordering::Relaxed));
    assert!(taken > given_back && given_back > 0, "{taken} taken late, {given_back} given back");
    engine.shutdown().await;
}
