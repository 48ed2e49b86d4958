//! Where suspected runs are tried: one at a time. Where a crowd waits, twice as many are tried in
//! each round that all survive, so that innocents do not wait long.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The most runs that are tried at once.
const WIDEST: usize = 256;

/// So many runs that wait are a crowd; fewer have the patience to be tried alone.
const CROWD: usize = 8;

/// The suspected runs of this worker.
#[derive(Debug)]
pub(crate) struct Ward(Mutex<State>);

#[derive(Debug)]
struct State {
    /// How many are being tried.
    trying: usize,
    /// How many may be.
    width: usize,
    /// Whether the one that is tried must stay alone.
    closed: bool,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    alone: bool,
    /// Told whether it is tried alone.
    admit: oneshot::Sender<bool>,
}

impl Default for Ward {
    fn default() -> Self {
        Self(Mutex::new(State { trying: 0, width: 1, closed: false, waiting: VecDeque::new() }))
    }
}

impl Ward {
    /// Waits for the turn of a run; those that came first go first. The run is on trial until the
    /// trial is dropped.
    pub(crate) async fn admit(self: &Arc<Self>, alone: bool) -> Trial {
        let (admit, admitted) = oneshot::channel();
        let mut place = Place { ward: self, admitted };
        {
            let mut state = self.lock();
            state.waiting.push_back(Waiting { alone, admit });
            state.let_in();
        }
        // The sender is dropped only after it has sent.
        let alone = (&mut place.admitted).await.unwrap_or_default();
        Trial { ward: Arc::clone(self), alone, survived: false }
    }

    fn left(&self, survived: bool) {
        let mut state = self.lock();
        state.trying -= 1;
        if survived {
            state.width = (state.width + 1).min(WIDEST);
        }
        if state.trying == 0 {
            state.closed = false;
            if state.waiting.is_empty() {
                state.width = 1;
            }
        }
        state.let_in();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn let_in(&mut self) {
        while let Some(next) = self.waiting.pop_front() {
            let first = self.trying == 0;
            let alone = first && (next.alone || self.width == 1 || self.waiting.len() < CROWD);
            if !first && (self.closed || next.alone || self.trying >= self.width) {
                self.waiting.push_front(next);
                return;
            }
            // One that has gone meanwhile takes no place.
            if next.admit.send(alone).is_ok() {
                self.trying += 1;
                self.closed = alone;
            }
        }
    }
}

/// A place in the queue. Given up, perhaps just when its turn has come.
struct Place<'a> {
    ward: &'a Ward,
    admitted: oneshot::Receiver<bool>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.admitted.close();
        if self.admitted.try_recv().is_ok() {
            self.ward.left(false);
        }
    }
}

/// A suspected run that is being tried.
#[derive(Debug)]
pub(crate) struct Trial {
    ward: Arc<Ward>,
    alone: bool,
    survived: bool,
}

impl Trial {
    /// Whether no other suspected run is tried meanwhile.
    pub(crate) fn is_alone(&self) -> bool {
        self.alone
    }

    /// The run has not killed this worker: it is trusted again.
    pub(crate) fn survived(mut self) {
        self.survived = true;
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        self.ward.left(self.survived);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    type Admission = futures_util::future::BoxFuture<'static, Trial>;

    fn ask(ward: &Arc<Ward>, alone: bool) -> Admission {
        let ward = Arc::clone(ward);
        let mut admission = async move { ward.admit(alone).await }.boxed();
        // A place is taken at the first poll.
        match (&mut admission).now_or_never() {
            Some(trial) => std::future::ready(trial).boxed(),
            None => admission,
        }
    }

    fn admitted(admission: &mut Admission) -> Option<Trial> {
        admission.now_or_never()
    }

    /// How many are tried in each round in which all survive, and whether they are alone.
    fn rounds(count: usize) -> Vec<(usize, bool)> {
        let ward = Arc::default();
        let mut queue: VecDeque<Admission> = (0..count).map(|_| ask(&ward, false)).collect();
        let mut rounds = Vec::new();
        while !queue.is_empty() {
            let mut trials = Vec::new();
            while let Some(trial) = queue.front_mut().and_then(admitted) {
                queue.pop_front();
                trials.push(trial);
            }
            rounds.push((trials.len(), trials[0].is_alone()));
            trials.into_iter().for_each(Trial::survived);
        }
        assert!(admitted(&mut ask(&ward, false)).unwrap().is_alone(), "an empty ward starts anew");
        rounds
    }

    #[test]
    fn a_few_are_tried_one_by_one() {
        assert_eq!(rounds(5), [(1, true); 5]);
    }

    #[test]
    fn of_a_crowd_more_are_tried_for_each_that_survives() {
        assert_eq!(rounds(20), [(1, true), (2, false), (4, false), (8, false), (5, false)]);
    }

    #[test]
    fn a_run_that_died_alone_before_is_always_alone() {
        let ward = Arc::default();
        let mut first = ask(&ward, false);
        let mut second = ask(&ward, true);
        let mut third = ask(&ward, false);
        let _crowd: Vec<_> = (0..10).map(|_| ask(&ward, false)).collect();
        admitted(&mut first).unwrap().survived();
        let trial = admitted(&mut second).unwrap();
        assert!(trial.is_alone());
        assert!(admitted(&mut third).is_none(), "there is room for two, but not beside this one");
        drop(trial);
        assert!(admitted(&mut third).is_some());
    }

    #[test]
    fn whoever_leaves_the_queue_takes_no_turn_with_it() {
        let ward = Arc::default();
        let trial = admitted(&mut ask(&ward, false)).unwrap();
        let (waits, leaves) = (ask(&ward, false), ask(&ward, false));
        let mut last = ask(&ward, false);
        drop(leaves);
        drop(trial);
        // Its turn has come, and it goes without looking.
        drop(waits);
        assert!(admitted(&mut last).is_some());
    }
}
