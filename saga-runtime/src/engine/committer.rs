//! Group commit: the commits of many runs share one call of the store. While calls are under way
//! the next commits gather; an idle store commits at once.
//!
//! As many calls are under way as the store takes at a time ([`saga_store::Store::commit_lanes`]):
//! while the store works on one group, the runs of the other are driven on. A call that waits for its
//! turn in the store grows until then ([`saga_store::Gathering`]). A run has one commit under way, so that
//! two calls never contain the same run.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};

use saga_store::{CommitError, CommitOutcome, Gathering, RunCommit};
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
        let lane = move || Arc::new(Lane { intake: Arc::clone(&intake), answers: std::sync::Mutex::default() });
        let (store, clock, counts) = (Arc::clone(store), Arc::clone(clock), Arc::clone(counts));
        let lanes = store.commit_lanes().max(1);
        let work = (0..lanes).map(move |_| work(Arc::clone(&store), Arc::clone(&clock), lane(), Arc::clone(&counts)));
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
    /// The next group, and where its answers go; none if there will be none.
    async fn gather(&mut self, lane: &Lane) -> Option<Vec<RunCommit>> {
        let Job { commit, answer } = self.jobs.recv().await?;
        let mut commits = Vec::with_capacity(self.usual.max(1));
        commits.push(commit);
        lane.answers().push(answer);
        if self.usual > 1 {
            // The first run that the last answers have woken is here before the others have had
            // their turn. Without them the group would be one commit, and the next one waits.
            self.spawner.yield_now().await;
        }
        self.take(&mut commits, &mut lane.answers());
        Some(commits)
    }

    /// Adds what there is.
    fn take(&mut self, commits: &mut Vec<RunCommit>, answers: &mut Vec<oneshot::Sender<CommitOutcome>>) {
        while commits.len() < GROUP_LIMIT
            && let Ok(Job { commit, answer }) = self.jobs.try_recv()
        {
            commits.push(commit);
            answers.push(answer);
        }
        self.usual = commits.len().max(self.usual / 2);
    }
}

/// One of the calls that are under way at a time.
struct Lane {
    intake: Arc<Mutex<Intake>>,
    /// Where the outcomes of its call go, in the order of the commits.
    answers: std::sync::Mutex<Vec<oneshot::Sender<CommitOutcome>>>,
}

impl Lane {
    fn answers(&self) -> std::sync::MutexGuard<'_, Vec<oneshot::Sender<CommitOutcome>>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gathering for Lane {
    fn take_into(&self, commits: &mut Vec<RunCommit>) {
        // Another lane that has it takes what there is.
        let Ok(mut intake) = self.intake.try_lock() else { return };
        intake.take(commits, &mut self.answers());
    }
}

async fn work(store: Arc<dyn AnyStore>, clock: Arc<dyn Clock>, lane: Arc<Lane>, counts: Arc<Counts>) {
    loop {
        // The others have the intake while the store works on the group.
        let gathered = lane.intake.lock().await.gather(&lane).await;
        let Some(commits) = gathered else { return };
        let outcomes = commit_all(&*store, &*clock, commits, &lane).await;
        let mut answers = std::mem::take(&mut *lane.answers());
        for (answer, outcome) in answers.drain(..).zip(outcomes) {
            if matches!(outcome, CommitOutcome::Refused { .. }) {
                counts.refused_commits.add(1);
            }
            // A run that was dropped meanwhile does not mind.
            let _ = answer.send(outcome);
        }
        // Its room serves for the next.
        *lane.answers() = answers;
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
