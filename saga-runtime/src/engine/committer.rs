//! Group commit: the commits of many runs share one call of the store. While calls are under way
//! the next commits gather.
//!
//! As many calls are under way as the store takes at a time ([`saga_store::Store::commit_lanes`]):
//! while the store works on one group, the runs of the other are driven on. A call that waits for its turn in the
//! store grows until then ([`saga_store::Gathering`]); where none does, each has its share of the runs that are
//! awake. A run has one commit under way, so that two calls never contain the same run.

use std::collections::VecDeque;
use std::sync::Arc;

use saga_store::{CommitError, CommitOutcome, RunCommit};
use tokio::sync::oneshot;

use super::gathered::{Gathered, Lane, Work};
use super::pace::Backoff;
use super::tally::Counts;
use crate::clock::Clock;
use crate::erased::AnyStore;
use crate::spawn::Spawner;

/// Where runs hand in their commits. A run has one commit under way, so that the number of live
/// runs bounds what gathers.
pub(crate) struct Committer {
    gathered: Arc<Gathered>,
}

impl Committer {
    /// A committer, and its work to be spawned, a task a lane. The work ends when the committer is gone.
    pub(crate) fn new(
        store: &Arc<dyn AnyStore>,
        clock: &Arc<dyn Clock>,
        spawner: &Spawner,
        counts: &Arc<Counts>,
    ) -> (Self, impl Iterator<Item = impl Future<Output = ()> + Send + use<>> + use<>) {
        let lanes = store.commit_lanes().max(1);
        let gathered = Arc::new(Gathered::new(lanes));
        let committer = Self { gathered: Arc::clone(&gathered) };
        let (store, clock, counts) = (Arc::clone(store), Arc::clone(clock), Arc::clone(counts));
        let spawner = spawner.clone();
        let work = (0..lanes).map(move |_| {
            let lane = Arc::new(Lane::new(&gathered));
            let work = Work::of(&lane);
            let (gathered, store, clock) = (Arc::clone(&gathered), Arc::clone(&store), Arc::clone(&clock));
            let (counts, spawner) = (Arc::clone(&counts), spawner.clone());
            async move {
                let _work = work;
                // The other lanes gather while the store works on the group.
                while let Some(commits) = gathered.group(&lane, &spawner).await {
                    let outcomes = commit_all(&*store, &*clock, commits, &lane).await;
                    let refused = outcomes.iter().filter(|outcome| matches!(outcome, CommitOutcome::Refused { .. }));
                    counts.refused_commits.add(refused.count());
                    lane.answer(outcomes);
                }
            }
        });
        (committer, work)
    }

    /// Hands in a commit. No answer means that the engine is gone.
    pub(crate) fn submit(&self, commit: RunCommit) -> oneshot::Receiver<CommitOutcome> {
        self.gathered.add(commit)
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.gathered.end();
    }
}

/// Commits until there is an answer for each: an outage is waited out, a culprit is found by
/// halving the group.
async fn commit_all(
    store: &dyn AnyStore,
    clock: &dyn Clock,
    commits: Vec<RunCommit>,
    lane: &Arc<Lane>,
) -> Vec<CommitOutcome> {
    let mut outcomes = Vec::new();
    let mut groups = VecDeque::from([commits]);
    let mut backoff = Backoff::new();
    // A call that is repeated does not grow, so that the outcomes stay in order.
    let mut gathering = Some(Arc::<Lane>::clone(lane));
    while let Some(group) = groups.pop_front() {
        let answer = match gathering.take() {
            Some(gathering) => store.commit_gathering(group, gathering).await,
            None => store.commit(group).await,
        };
        match answer {
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
