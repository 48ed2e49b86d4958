//! The disturbances of one case while it runs: which have happened, and what comes of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use saga_store::message::{CancelRequest, MessageBody};
use saga_store::wire::FailureKind;
use saga_store::{
    CommitError, CommitOutcome, ExecutionId, Message, MessageId, RunCommit, Store, StoreError, Target, Then,
};
use tokio::sync::oneshot;

use super::case::Case;
use super::fault::{Fault, How};
use super::places::{Attempt, Places};
use crate::activity::{AttemptEnd, AttemptFailure};
use crate::classify::Class;
use crate::erased::BoxFuture;
use crate::memory::MemoryStore;
use crate::memory::hook::{Hook, Verb};
use crate::test::rig::{After, Called, Instead, Watch};

/// What is to be done in a case, and what has been. A clone is the same one.
#[derive(Clone)]
pub(super) struct Plan(Arc<Mutex<State>>);

pub(super) struct State {
    faults: Vec<Fault>,
    /// Where each has happened, if it has.
    pub(super) fired: Vec<Option<String>>,
    commits: usize,
    /// The run that is explored: the first that commits.
    root: Option<ExecutionId>,
    pub(super) places: Places,
    /// Whether commits are written down in words.
    surveyed: bool,
    /// The engine is to be killed.
    pub(super) crash: bool,
    /// Whether answers of attempts are held back, to be given in an order of choice.
    holds: bool,
    held: Vec<oneshot::Sender<()>>,
    /// How often a step has failed so far.
    failures: usize,
}

/// A step that fails again and again does so this often: more than most are tried, and not for
/// ever, since an undo that needs the step's output waits for it.
const AGAIN: usize = 8;

impl Plan {
    pub(super) fn new(case: &Case) -> Self {
        let faults = case.faults.clone();
        Self(Arc::new(Mutex::new(State {
            fired: vec![None; faults.len()],
            commits: 0,
            root: None,
            places: Places::default(),
            surveyed: faults.iter().all(Fault::is_surveyed),
            crash: false,
            holds: case.order.is_some(),
            held: Vec::new(),
            failures: 0,
            faults,
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many answers are held back.
    pub(super) fn held(&self) -> usize {
        self.lock().held.len()
    }

    /// Gives one of the answers that are held back.
    pub(super) fn release(&self, which: usize) {
        let held = self.lock().held.remove(which);
        // An attempt that was dropped meanwhile does not mind.
        let _ = held.send(());
    }
}

impl State {
    /// Whether this is to happen now, at this place; then it has.
    fn fires(&mut self, place: impl FnOnce() -> String, is: impl Fn(&Fault) -> bool) -> bool {
        let at = self.faults.iter().zip(&self.fired).position(|(fault, fired)| fired.is_none() && is(fault));
        if let Some(at) = at {
            self.fired[at] = Some(place());
        }
        at.is_some()
    }

    fn crashes(&mut self, place: impl FnOnce() -> String, is: impl Fn(&Fault) -> bool) -> bool {
        let crashes = self.fires(place, is);
        self.crash |= crashes;
        crashes
    }

    /// How this step fails, if it does at this attempt.
    fn failure(&mut self, called: &Called) -> Option<How> {
        let key = called.key.as_str();
        let at = self.faults.iter().position(|fault| matches!(fault, Fault::Fail { key: k, .. } if k == key))?;
        let Fault::Fail { how, .. } = self.faults[at] else { return None };
        let again = matches!(how, How::NeverTried | How::LostAlways);
        self.fired[at].get_or_insert_with(|| Attempt::place(called));
        self.failures += 1;
        (self.failures <= if again { AGAIN } else { 1 }).then_some(how)
    }
}

fn fails(class: Class, message: &str) -> AttemptEnd {
    Err(AttemptFailure::engine(FailureKind::CircuitOpen, class, message))
}

impl Watch for Plan {
    fn before(&self, number: usize, called: &Called) -> Instead {
        let mut state = self.lock();
        let commits = state.commits;
        state.places.attempts.push(Attempt::new(called, commits));
        let place = || Attempt::place(called);
        if state.crashes(place, |fault| *fault == Fault::CrashBeforeAttempt(number)) {
            return Instead::Hang;
        }
        if state.fires(place, |fault| *fault == Fault::Twice(number)) {
            return Instead::Twice;
        }
        match state.failure(called) {
            Some(How::Refused) => Instead::End(fails(Class::Permanent, "refused, by a test")),
            Some(How::NeverTried) => {
                let class = Class::Transient { no_effect: true, retry_after: None };
                Instead::End(fails(class, "not tried, by a test"))
            }
            Some(How::Panics) => Instead::Panic,
            Some(How::Hangs) => Instead::Hang,
            Some(How::LostOnce | How::LostAlways) => Instead::Lose,
            None => Instead::Nothing,
        }
    }

    fn after(&self, number: usize, called: &Called, end: AttemptEnd, lose: bool) -> After {
        let mut state = self.lock();
        if state.crashes(|| Attempt::place(called), |fault| *fault == Fault::CrashAfterAttempt(number)) {
            return After::Hang;
        }
        let end = if lose { fails(Class::TRANSIENT, "its answer was lost, by a test") } else { end };
        if state.holds {
            let (go, goes) = oneshot::channel();
            state.held.push(go);
            return After::Later(end, goes);
        }
        After::End(end)
    }
}

impl Plan {
    async fn commit_one(&self, store: &MemoryStore, commit: RunCommit) -> Option<CommitOutcome> {
        let (execution, ends) = (commit.execution, commit.then == Then::End);
        let (number, root, said) = {
            let mut state = self.lock();
            let root = *state.root.get_or_insert(execution);
            let number = state.commits;
            state.commits += 1;
            // In words only where they are needed: that takes longer than the commit.
            let needed = state.surveyed || state.faults.iter().any(|fault| fault.commit() == Some(number));
            let said = if needed { Places::commit(&commit.rows) } else { String::new() };
            state.places.commits.push(said.clone());
            (number, root, said)
        };
        if self.lock().crashes(|| said.clone(), |fault| *fault == Fault::CrashBeforeCommit(number)) {
            return std::future::pending().await;
        }
        let outcome = store.append(vec![commit]).pop();
        if self.lock().crashes(|| said.clone(), |fault| *fault == Fault::CrashAfterCommit(number)) {
            return std::future::pending().await;
        }
        if ends && execution == root {
            self.lock().places.end = Some(number);
        } else if self.lock().fires(|| said, |fault| *fault == Fault::CancelAfterCommit(number)) {
            let body = MessageBody::Cancel(CancelRequest::default()).to_bytes();
            let message = Message { id: MessageId::from_bytes([7; 16]), to: Target::Execution(root), body };
            // The store is in memory: it answers.
            let _ = store.deliver(vec![message]).await;
        }
        outcome
    }
}

impl Hook for Plan {
    fn enter(&self, _: Verb) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn commit<'a>(
        &'a self,
        store: &'a MemoryStore,
        commits: Vec<RunCommit>,
    ) -> BoxFuture<'a, Result<Vec<CommitOutcome>, CommitError>> {
        Box::pin(async move {
            let mut outcomes = Vec::with_capacity(commits.len());
            for commit in commits {
                outcomes.extend(self.commit_one(store, commit).await);
            }
            Ok(outcomes)
        })
    }
}
