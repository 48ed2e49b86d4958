//! What gathers between two calls of the store: commits, with where their answers go.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use saga_store::{CommitOutcome, Gathering, RunCommit};
use tokio::sync::oneshot;

use crate::spawn::Spawner;

/// The most commits in one call.
const GROUP_LIMIT: usize = 1024;

/// A call of fewer costs the store hardly less.
const ENOUGH: usize = 32;

/// Enough for a call that the store lets grow: it only has to be there when the store is free.
const ENOUGH_TO_GROW: usize = 64;

/// A turn of the others that brings fewer brings no more worth waiting for.
const WORTH_WAITING: usize = 8;

/// Where the outcomes of some commits go, in the order of the commits.
pub(super) type Answers = Vec<oneshot::Sender<CommitOutcome>>;

/// What gathers, and the lanes that it goes with.
pub(super) struct Gathered {
    /// A lane that is free has it until it has its group.
    turn: tokio::sync::Mutex<()>,
    waiting: Mutex<Waiting>,
}

/// What waits for a lane.
#[derive(Default)]
struct Waiting {
    commits: Vec<RunCommit>,
    /// Where their outcomes go.
    answers: Answers,
    /// About how large groups are.
    usual: usize,
    /// How many commits are with the store.
    under_way: usize,
    /// About how many runs have had an answer since they last brought a commit.
    due_back: usize,
    /// Whether the store takes what gathers until it begins.
    grows: bool,
    /// The lane whose turn it is, and what it waits for.
    next: Option<(Until, Waker)>,
    all_lanes: usize,
    /// Those that work. Without any, nothing is taken in.
    live_lanes: usize,
    /// Nothing comes any more.
    ended: bool,
}

/// What a lane waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    /// Something to send.
    First,
    /// A group that is worth a call while more can come.
    Fair,
}

impl Waiting {
    /// Adds a commit.
    fn push(&mut self, commit: RunCommit, answer: oneshot::Sender<CommitOutcome>) {
        // Without lanes the sender is dropped, which the run sees.
        if self.live_lanes > 0 {
            self.commits.push(commit);
            self.answers.push(answer);
            self.due_back = self.due_back.saturating_sub(1);
        }
    }

    /// Whether a lane that waits for this goes on.
    fn has(&self, until: Until) -> bool {
        let waiting = self.commits.len();
        self.ended
            || match until {
                Until::First => waiting > 0,
                Until::Fair if waiting >= GROUP_LIMIT => true,
                Until::Fair if self.grows => waiting >= ENOUGH_TO_GROW,
                // Calls of one size, each with its share of the runs, cost the store least.
                Until::Fair => {
                    let in_play = waiting + self.under_way + self.due_back;
                    waiting >= ENOUGH && waiting * self.all_lanes >= in_play
                }
            }
    }

    /// The lane that goes on now, to be woken.
    fn take_ready_waker(&mut self) -> Option<Waker> {
        let goes_on = self.next.as_ref().is_some_and(|(until, _)| self.has(*until));
        self.next.take_if(|_| goes_on).map(|(_, waker)| waker)
    }

    /// Takes what there is, up to the limit of a call; `answers`, those of the call so far, gets where the
    /// outcomes go.
    fn take(&mut self, answers: &mut Answers) -> Vec<RunCommit> {
        let size = self.commits.len().min(GROUP_LIMIT.saturating_sub(answers.len()));
        self.under_way += size;
        if answers.is_empty() && size == self.answers.len() {
            std::mem::swap(answers, &mut self.answers);
        } else {
            answers.extend(self.answers.drain(..size));
        }
        self.usual = answers.len().max(self.usual / 2);
        let left = self.commits.split_off(size);
        let left = if left.is_empty() { Vec::with_capacity(self.usual) } else { left };
        std::mem::replace(&mut self.commits, left)
    }
}

impl Gathered {
    /// Nothing yet, for so many lanes.
    pub(super) fn new(lanes: usize) -> Self {
        let waiting = Waiting { all_lanes: lanes, live_lanes: lanes, ..Waiting::default() };
        Self { turn: tokio::sync::Mutex::default(), waiting: Mutex::new(waiting) }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a commit in. No answer means that the engine is gone.
    pub(super) fn add(&self, commit: RunCommit) -> oneshot::Receiver<CommitOutcome> {
        let (answer, outcome) = oneshot::channel();
        let next = {
            let mut waiting = self.waiting();
            waiting.push(commit, answer);
            waiting.take_ready_waker()
        };
        if let Some(lane) = next {
            lane.wake();
        }
        outcome
    }

    /// Nothing comes any more: lanes end once all that waits is sent.
    pub(super) fn end(&self) {
        let next = {
            let mut waiting = self.waiting();
            waiting.ended = true;
            waiting.next.take()
        };
        if let Some((_, lane)) = next {
            lane.wake();
        }
    }

    /// The next group; none if there will be none. After groups of more than one it waits for others that are about
    /// to come.
    pub(super) async fn group(&self, lane: &Lane, spawner: &Spawner) -> Option<Vec<RunCommit>> {
        let _turn = self.turn.lock().await;
        loop {
            poll_fn(|cx| self.poll_for(Until::First, cx)).await;
            self.let_others_come(spawner).await;
            let mut waiting = self.waiting();
            waiting.next = None;
            // A call that waits for the store may have taken them.
            if !waiting.commits.is_empty() {
                return Some(waiting.take(&mut lane.answers()));
            }
            if waiting.ended {
                return None;
            }
        }
    }

    /// The first run that the last answers have woken is here before the others have had their turn. Without
    /// them the group would be one commit, and the next one waits.
    async fn let_others_come(&self, spawner: &Spawner) {
        let (usual, mut before) = {
            let waiting = self.waiting();
            (waiting.usual, waiting.commits.len())
        };
        if usual <= 1 {
            return;
        }
        loop {
            let mut turn_of_others = pin!(spawner.yield_now());
            let is_fair = poll_fn(|cx| match self.poll_for(Until::Fair, cx) {
                Poll::Ready(()) => Poll::Ready(true),
                Poll::Pending => turn_of_others.as_mut().poll(cx).map(|()| false),
            })
            .await;
            let mut waiting = self.waiting();
            if is_fair || waiting.grows {
                return;
            }
            let now = waiting.commits.len();
            if now < before + WORTH_WAITING {
                // Those who are not back are not counted on any more, though other threads may have some.
                waiting.due_back = 0;
                return;
            }
            before = now;
        }
    }

    /// Whether that is there; if not, whoever asks is woken once it is.
    fn poll_for(&self, until: Until, cx: &Context<'_>) -> Poll<()> {
        let mut waiting = self.waiting();
        if waiting.has(until) {
            return Poll::Ready(());
        }
        waiting.next = Some((until, cx.waker().clone()));
        Poll::Pending
    }
}

/// One of the calls that are under way at a time.
pub(super) struct Lane {
    gathered: Arc<Gathered>,
    /// Where the outcomes of its call go, in the order of the commits.
    answers: Mutex<Answers>,
}

impl Lane {
    pub(super) fn new(gathered: &Arc<Gathered>) -> Self {
        Self { gathered: Arc::clone(gathered), answers: Mutex::default() }
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells each run of its outcome.
    pub(super) fn answer(&self, outcomes: Vec<CommitOutcome>) {
        let mut answers = std::mem::take(&mut *self.answers());
        {
            let mut waiting = self.gathered.waiting();
            waiting.under_way -= answers.len();
            waiting.due_back += answers.len();
        }
        for (answer, outcome) in answers.drain(..).zip(outcomes) {
            // A run that was dropped meanwhile does not mind.
            let _ = answer.send(outcome);
        }
        // Its room serves for the next.
        *self.answers() = answers;
    }
}

impl Gathering for Lane {
    fn take_into(&self, commits: &mut Vec<RunCommit>) {
        let more = {
            let mut waiting = self.gathered.waiting();
            waiting.grows = true;
            if waiting.commits.is_empty() {
                return;
            }
            waiting.take(&mut self.answers())
        };
        commits.extend(more);
    }
}

/// A lane's work. When it is over, be it with its runtime or by a panic of the store's, nobody waits for its
/// answers, and after the last one's for no other.
pub(super) struct Work(Arc<Lane>);

impl Work {
    /// Begun for one of the lanes that [`Gathered::new`] has counted.
    pub(super) fn of(lane: &Arc<Lane>) -> Self {
        Self(Arc::clone(lane))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let mine = std::mem::take(&mut *self.0.answers());
        let left = {
            let mut waiting = self.0.gathered.waiting();
            waiting.under_way -= mine.len();
            waiting.live_lanes -= 1;
            let is_last = waiting.live_lanes == 0;
            is_last.then(|| (std::mem::take(&mut waiting.commits), std::mem::take(&mut waiting.answers)))
        };
        // Not under the lock: it wakes who waits.
        drop((mine, left));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use saga_store::{Applied, ExecutionId, Incarnation, Nonce, Seq};

    use super::*;

    /// Counts how often a lane is woken.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn execution(run: usize) -> ExecutionId {
        ExecutionId::from_bytes((run as u128).to_be_bytes())
    }

    fn commit(run: usize) -> RunCommit {
        RunCommit::empty(execution(run), Incarnation::from_bytes([1; 16]), Seq(1), Nonce(1))
    }

    fn add(gathered: &Gathered, commits: usize) -> Vec<oneshot::Receiver<CommitOutcome>> {
        (0..commits).map(|run| gathered.add(commit(run))).collect()
    }

    /// A lane takes what there is.
    fn send(gathered: &Gathered, lane: &Lane) -> Vec<RunCommit> {
        gathered.waiting().take(&mut lane.answers())
    }

    fn applied(commits: usize) -> Vec<CommitOutcome> {
        (0..commits).map(|_| CommitOutcome::Applied(Applied::default())).collect()
    }

    #[test]
    fn a_lane_goes_with_its_share_of_the_runs_that_are_in_play() {
        let gathered = Arc::new(Gathered::new(2));
        let (first, second) = (Lane::new(&gathered), Lane::new(&gathered));
        let mut runs = add(&gathered, 100);
        assert_eq!(send(&gathered, &first).len(), 100);
        runs.extend(add(&gathered, 100));
        assert_eq!(send(&gathered, &second).len(), 100);
        first.answer(applied(100));

        // A hundred are with the store and a hundred are to come back: half of them is enough.
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        assert!(gathered.poll_for(Until::Fair, &Context::from_waker(&waker)).is_pending());
        runs.extend(add(&gathered, 99));
        assert_eq!(woken.0.load(Ordering::Relaxed), 0);
        runs.extend(add(&gathered, 1));
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert!(gathered.poll_for(Until::Fair, &Context::from_waker(&waker)).is_ready());
    }

    #[test]
    fn a_small_share_is_not_enough_unless_the_store_lets_calls_grow() {
        let gathered = Arc::new(Gathered::new(2));
        let lane = Lane::new(&gathered);
        let _runs = add(&gathered, ENOUGH - 1);
        assert!(!gathered.waiting().has(Until::Fair));
        let _more = add(&gathered, 1);
        assert!(gathered.waiting().has(Until::Fair));

        let mut call = send(&gathered, &lane);
        let _late = add(&gathered, 3);
        lane.take_into(&mut call);
        assert_eq!(call.len(), ENOUGH + 3);
        assert!(gathered.waiting().commits.is_empty());
        let _few = add(&gathered, ENOUGH_TO_GROW - 1);
        assert!(!gathered.waiting().has(Until::Fair));
        let _last = add(&gathered, 1);
        assert!(gathered.waiting().has(Until::Fair), "however many are with the store");
    }

    #[tokio::test]
    async fn runs_that_do_not_come_back_are_not_waited_for() {
        let gathered = Arc::new(Gathered::new(2));
        let lane = Lane::new(&gathered);
        let _runs = add(&gathered, 500);
        drop(send(&gathered, &lane));
        lane.answer(applied(500));
        let _back = add(&gathered, 40);
        assert!(!gathered.waiting().has(Until::Fair));
        // Nothing comes in the others' turn.
        assert_eq!(gathered.group(&lane, &Spawner::Tokio).await.unwrap().len(), 40);
        let _back = add(&gathered, 40);
        assert!(gathered.waiting().has(Until::Fair));
    }

    #[test]
    fn a_call_has_a_limit_and_each_commit_its_own_answer() {
        let gathered = Arc::new(Gathered::new(1));
        let lane = Lane::new(&gathered);
        let mut runs = add(&gathered, 1_000);
        let mut call = send(&gathered, &lane);
        runs.extend((1_000..1_100).map(|run| gathered.add(commit(run))));
        lane.take_into(&mut call);
        lane.take_into(&mut call);
        let executions = |commits: &[RunCommit]| commits.iter().map(|commit| commit.execution).collect::<Vec<_>>();
        assert_eq!(executions(&call), (0..GROUP_LIMIT).map(execution).collect::<Vec<_>>());
        lane.answer(call.iter().map(|_| CommitOutcome::Applied(Applied::default())).collect());

        let rest = send(&gathered, &lane);
        assert_eq!(executions(&rest), (GROUP_LIMIT..1_100).map(execution).collect::<Vec<_>>());
        assert!(runs[GROUP_LIMIT].try_recv().is_err());
        let own = |at: usize| CommitOutcome::Rejected((GROUP_LIMIT + at).to_string());
        lane.answer((0..rest.len()).map(own).collect());
        for (run, answer) in runs.iter_mut().enumerate() {
            let expected = if run < GROUP_LIMIT {
                CommitOutcome::Applied(Applied::default())
            } else {
                CommitOutcome::Rejected(run.to_string())
            };
            assert_eq!(answer.try_recv().unwrap(), expected);
        }
        assert_eq!(gathered.waiting().under_way, 0);
    }

    #[test]
    fn what_a_call_cannot_carry_is_not_waited_for() {
        let gathered = Gathered::new(1);
        gathered.waiting().due_back = 10_000;
        let _runs = add(&gathered, GROUP_LIMIT - 1);
        assert!(!gathered.waiting().has(Until::Fair));
        let _last = add(&gathered, 1);
        assert!(gathered.waiting().has(Until::Fair));
    }

    #[tokio::test]
    async fn others_are_waited_for_as_long_as_their_turns_bring_more() {
        let gathered = Arc::new(Gathered::new(2));
        let lane = Lane::new(&gathered);
        {
            let mut waiting = gathered.waiting();
            (waiting.usual, waiting.due_back) = (100, 1_000);
        }
        let runs = Arc::clone(&gathered);
        tokio::spawn(async move {
            let mut answers = Vec::new();
            for brought in [10, 10, 10, 10, 10, 0, 0, 10] {
                answers.extend(add(&runs, brought));
                tokio::task::yield_now().await;
            }
        });
        assert_eq!(gathered.group(&lane, &Spawner::Tokio).await.unwrap().len(), 50);
    }

    #[tokio::test]
    async fn without_a_lane_nobody_waits_for_an_answer() {
        let gathered = Arc::new(Gathered::new(2));
        let (first, second) = (Arc::new(Lane::new(&gathered)), Arc::new(Lane::new(&gathered)));
        let (one, other) = (Work::of(&first), Work::of(&second));
        let with_the_store = add(&gathered, 3);
        drop(send(&gathered, &first));
        let waits = gathered.add(commit(3));
        drop(one);
        assert_eq!(gathered.waiting().under_way, 0);
        for answer in with_the_store {
            assert!(answer.await.is_err(), "its lane is gone");
        }
        assert_eq!(send(&gathered, &second).len(), 1, "the other lane works");
        let late = gathered.add(commit(4));
        drop(other);
        assert!(waits.await.is_err() && late.await.is_err());
        assert!(gathered.add(commit(5)).await.is_err());
    }

    #[tokio::test]
    async fn a_lane_that_waits_goes_on_with_the_first_and_ends_with_the_last() {
        let gathered = Arc::new(Gathered::new(2));
        let work = || {
            let gathered = Arc::clone(&gathered);
            async move {
                let lane = Lane::new(&gathered);
                let mut sent = Vec::new();
                while let Some(group) = gathered.group(&lane, &Spawner::Tokio).await {
                    sent.push(group.len());
                }
                sent
            }
        };
        let (one, other) = (tokio::spawn(work()), tokio::spawn(work()));
        tokio::task::yield_now().await;
        let _first = gathered.add(commit(1));
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        let _rest = add(&gathered, 3);
        gathered.end();
        let sent: usize = [one.await.unwrap(), other.await.unwrap()].concat().into_iter().sum();
        assert_eq!(sent, 4);
    }
}
