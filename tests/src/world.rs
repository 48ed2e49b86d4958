//! The world outside, as the tests' activities see it: it does what a test planned, and remembers
//! what was asked of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use saga_runtime::prelude::*;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

/// What an attempt does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Succeeds.
    Succeed,
    /// Fails, not to be repeated.
    Decline,
    /// Fails, after the effect.
    Lose,
    /// Fails, surely before the effect.
    Refuse,
    /// Fails, and says when to come again.
    Postpone(Duration),
    /// Panics.
    Panic,
    /// Never ends.
    Hang,
    /// Waits until the test opens the door of this name, then succeeds.
    Wait,
    /// Waits until it is told that it is no longer wanted.
    WaitForCancel,
    /// The same, then waits as [`Act::Wait`] does, and succeeds.
    StopLater,
    /// Succeeds with an output of this many bytes.
    Fill(usize),
    /// Waits as [`Act::Wait`] does, then succeeds with an output of this many bytes.
    WaitAndFill(usize),
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize, Classify)]
pub enum StepError {
    /// Not to be repeated.
    #[error("declined")]
    #[permanent]
    Declined,
    /// The effect may have happened.
    #[error("the answer was lost")]
    #[transient]
    Lost,
    /// The effect has not happened.
    #[error("queue full")]
    #[transient(no_effect)]
    Refused,
    /// The effect has not been tried.
    #[error("come again in {wait:?}")]
    #[transient(retry_after = wait)]
    Postponed {
        /// When to come again.
        wait: Duration,
    },
}

/// One attempt that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// What was asked for.
    pub name: String,
    /// The step's idempotency key.
    pub key: String,
    /// Which attempt it was.
    pub number: u32,
}

/// The world outside. A clone is the same one.
#[derive(Debug, Clone, Default)]
pub struct World(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    plans: Mutex<BTreeMap<String, VecDeque<Act>>>,
    attempts: Mutex<Vec<Attempt>>,
    effects: Mutex<BTreeSet<String>>,
    signals: Mutex<BTreeMap<String, Arc<Semaphore>>>,
    notes: Mutex<BTreeMap<String, String>>,
}

impl World {
    /// Plans what the next attempts of this name do; those after them succeed.
    pub fn plan(&self, name: &str, acts: impl IntoIterator<Item = Act>) {
        lock(&self.0.plans).entry(name.to_owned()).or_default().extend(acts);
    }

    /// The names of all attempts, in the order in which they began.
    pub fn log(&self) -> Vec<String> {
        lock(&self.0.attempts).iter().map(|attempt| attempt.name.clone()).collect()
    }

    /// The attempts of this name.
    pub fn attempts(&self, name: &str) -> Vec<Attempt> {
        lock(&self.0.attempts).iter().filter(|attempt| attempt.name == name).cloned().collect()
    }

    /// The idempotency keys under which something happened.
    pub fn effects(&self) -> BTreeSet<String> {
        lock(&self.0.effects).clone()
    }

    /// What happened, by idempotency key: the names under which it was asked for.
    pub fn done(&self) -> BTreeMap<String, String> {
        let effects = self.effects();
        let attempts = lock(&self.0.attempts);
        let names = attempts.iter().filter(|attempt| effects.contains(&attempt.key));
        names.map(|attempt| (attempt.key.clone(), attempt.name.clone())).collect()
    }

    /// Notes something under a name, in place of what was noted before.
    pub fn note(&self, name: &str, what: impl Into<String>) {
        lock(&self.0.notes).insert(name.to_owned(), what.into());
    }

    /// What was noted under a name; empty if nothing was.
    pub fn noted(&self, name: &str) -> String {
        lock(&self.0.notes).get(name).cloned().unwrap_or_default()
    }

    /// Says that something has happened.
    pub fn signal(&self, name: &str) {
        self.semaphore(name).add_permits(1);
    }

    /// Waits until something has happened, once for each time that it did.
    pub async fn heard(&self, name: &str) {
        if let Ok(permit) = self.semaphore(name).acquire().await {
            permit.forget();
        }
    }

    /// Waits until an attempt of this name has begun, once for each that does.
    pub async fn began(&self, name: &str) {
        self.heard(&format!("began {name}")).await;
    }

    /// Lets one attempt that waits under this name succeed.
    pub fn open(&self, name: &str) {
        self.signal(&format!("open {name}"));
    }

    /// Makes an attempt.
    ///
    /// # Panics
    ///
    /// If that was planned.
    pub async fn attempt(&self, cx: &ActivityContext, name: &str) -> Result<String, StepError> {
        let key = cx.idempotency_key().to_string();
        let attempt = Attempt { name: name.to_owned(), key: key.clone(), number: cx.attempt() };
        lock(&self.0.attempts).push(attempt);
        let act = lock(&self.0.plans).get_mut(name).and_then(VecDeque::pop_front).unwrap_or(Act::Succeed);
        // Whoever has begun listens already.
        let cancelled = matches!(act, Act::WaitForCancel | Act::StopLater).then(|| cx.cancelled());
        self.signal(&format!("began {name}"));
        if let Some(cancelled) = cancelled {
            let _tell = TellDrop { world: self, name };
            cancelled.await;
            self.signal(&format!("told {name}"));
            if act == Act::WaitForCancel {
                return Err(StepError::Refused);
            }
            self.heard(&format!("open {name}")).await;
        }
        match act {
            Act::Decline => return Err(StepError::Declined),
            Act::Refuse => return Err(StepError::Refused),
            Act::Postpone(wait) => return Err(StepError::Postponed { wait }),
            Act::Panic => panic!("{name} fell over"),
            Act::Wait | Act::WaitAndFill(_) => self.heard(&format!("open {name}")).await,
            Act::Hang => {
                let _tell = TellDrop { world: self, name };
                std::future::pending::<()>().await;
            }
            Act::Lose | Act::Succeed | Act::Fill(_) | Act::WaitForCancel | Act::StopLater => {}
        }
        lock(&self.0.effects).insert(key);
        match act {
            Act::Lose => Err(StepError::Lost),
            Act::Fill(bytes) | Act::WaitAndFill(bytes) => Ok("x".repeat(bytes)),
            _ => Ok(format!("{name}!")),
        }
    }

    fn semaphore(&self, name: &str) -> Arc<Semaphore> {
        let mut signals = lock(&self.0.signals);
        Arc::clone(signals.entry(name.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(0))))
    }
}

/// Says that an attempt was dropped, or has ended.
struct TellDrop<'a> {
    world: &'a World,
    name: &'a str,
}

impl Drop for TellDrop<'_> {
    fn drop(&mut self) {
        self.world.signal(&format!("dropped {}", self.name));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
