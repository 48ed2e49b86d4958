//! Group commit: the commits of many runs share one call of the store. While calls are under way
//! the next commits gather; an idle store commits at once.
//!
//! As many calls are under way as the store takes at a time ([`saga_store::Store::commit_lanes`]):
//! while the store works on one group, the runs of the other are driven on. A run has one commit
//! under way, so that two calls never contain the same run.

use std::collections::VecDeque;
use std::sync::Arc;

use saga_store::{CommitError, CommitOutcome, RunCommit};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::pace::Backoff;
use super::tally::Counts;
use crate::clock::Clock;
use crate::erased::AnyStore;
use crate::spawn::Spawner;

/// The most commits in one call.
const GROUP_LIMIT: usize = 1024;

struct Job {
    commit: RunCommit,
    answer: oneshot::Sender<CommitOutcome>,
}

/// Where runs hand in their commits. A run has one commit under way, so that the number of live
/// runs bounds what gathers.
#[derive(Clone)]
pub(crate) struct Committer {
    jobs: mpsc::UnboundedSender<Job>,
}

impl Committer {
    /// A committer, and its work to be spawned, a task a lane. The work ends when all handles are
    /// gone.
    pub(crate) fn new(
        store: &Arc<dyn AnyStore>,
        clock: &Arc<dyn Clock>,
        spawner: &Spawner,
        counts: &Arc<Counts>,
    ) -> (Self, impl Iterator<Item = impl Future<Output = ()> + Send + use<>> + use<>) {
        let (jobs, receiver) = mpsc::unbounded_channel();
        let intake = Arc::new(Mutex::new(Intake { jobs: receiver, usual: 0, spawner: spawner.clone() }));
        let (store, clock, counts) = (Arc::clone(store), Arc::clone(clock), Arc::clone(counts));
        let lanes = store.commit_lanes().max(1);
        let work = (0..lanes)
            .map(move |_| work(Arc::clone(&store), Arc::clone(&clock), Arc::clone(&intake), Arc::clone(&counts)));
        (Self { jobs }, work)
    }

    /// Hands in a commit. No answer means that the engine is gone.
    pub(crate) fn submit(&self, commit: RunCommit) -> oneshot::Receiver<CommitOutcome> {
        let (answer, outcome) = oneshot::channel();
        // Without a committer the answer's sender is dropped, which the caller sees.
        let _ = self.jobs.send(Job { commit, answer });
        outcome
    }
}

/// What gathers. A lane that is free has it until it has its group.
struct Intake {
    jobs: mpsc::UnboundedReceiver<Job>,
    /// About how large groups are.
    usual: usize,
    spawner: Spawner,
}

impl Intake {
    /// The next group; false if there will be none.
    async fn gather(&mut self, group: &mut Vec<Job>) -> bool {
        if self.jobs.recv_many(group, GROUP_LIMIT).await == 0 {
            return false;
        }
        if self.usual > 1 {
            // The first run that the last answers have woken is here before the others have had
            // their turn. Without them the group would be one commit, and the next one waits.
            self.spawner.yield_now().await;
            while group.len() < GROUP_LIMIT
                && let Ok(job) = self.jobs.try_recv()
            {
                group.push(job);
            }
        }
        self.usual = group.len().max(self.usual / 2);
        true
    }
}

async fn work(store: Arc<dyn AnyStore>, clock: Arc<dyn Clock>, intake: Arc<Mutex<Intake>>, counts: Arc<Counts>) {
    let mut gathered = Vec::new();
    while intake.lock().await.gather(&mut gathered).await {
        let (mut commits, mut answers) = (Vec::with_capacity(gathered.len()), Vec::with_capacity(gathered.len()));
        for Job { commit, answer } in gathered.drain(..) {
            commits.push(commit);
            answers.push(answer);
        }
        let outcomes = commit_all(&*store, &*clock, commits).await;
        for (answer, outcome) in answers.into_iter().zip(outcomes) {
            if matches!(outcome, CommitOutcome::Refused { .. }) {
                counts.refused_commits.add(1);
            }
            // A run that was dropped meanwhile does not mind.
            let _ = answer.send(outcome);
        }
    }
}

/// Commits until there is an answer for each: an outage is waited out, a culprit is found by
/// halving the group.
async fn commit_all(store: &dyn AnyStore, clock: &dyn Clock, commits: Vec<RunCommit>) -> Vec<CommitOutcome> {
    let mut outcomes = Vec::with_capacity(commits.len());
    let mut groups = VecDeque::from([commits]);
    let mut backoff = Backoff::new();
    while let Some(group) = groups.pop_front() {
        match store.commit(group).await {
            Ok(answers) => {
                backoff.answered();
                outcomes.extend(answers);
            }
            Err(CommitError { error, commits }) if error.is_retryable() => {
                tracing::warn!(%error, runs = commits.len(), retry_in = ?backoff.next(), "the store did not answer a commit; it is sent again");
                backoff.wait(clock).await;
                groups.push_front(commits);
            }
            Err(CommitError { error, mut commits }) => {
                if commits.len() > 1 {
                    let rest = commits.split_off(commits.len() / 2);
                    groups.push_front(rest);
                    groups.push_front(commits);
                } else {
                    tracing::error!(%error, "the store refuses a commit for good");
                    outcomes.push(CommitOutcome::Rejected(error.to_string()));
                }
            }
        }
    }
    outcomes
}
