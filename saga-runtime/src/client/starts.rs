//! Starts gather as commits do: while calls of the store are under way the next starts wait, and
//! go together. An idle store starts a run at once.
//!
//! Starts whose id the caller chose travel apart from those with fresh ids: such an id may be held
//! by somebody's open transaction, and then its group is taken apart, so that only it waits.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use saga_store::{ErrorKind, NewRun, Started, StoreError};
use tokio::sync::oneshot;

use super::Parts;

/// Calls under way at a time, of each kind of id.
const LANES: usize = 2;

/// The most starts in one call.
const GROUP_LIMIT: usize = 256;

type Answer = Result<Started, StoreError>;

struct Job {
    new: NewRun,
    answer: oneshot::Sender<Answer>,
}

/// What waits to be started.
#[derive(Default)]
pub(super) struct Starts {
    fresh: Mutex<Queue>,
    named: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Job>,
    lanes: usize,
}

/// Starts a run; `named` if the caller chose its id.
pub(super) async fn start(parts: &Arc<Parts>, new: NewRun, named: bool) -> Answer {
    let (answer, answered) = oneshot::channel();
    let free = {
        let mut queue = lock(parts, named);
        queue.waiting.push(Job { new, answer });
        let free = queue.lanes < LANES;
        queue.lanes += usize::from(free);
        free
    };
    if free {
        parts.spawner.spawn(lane(Arc::downgrade(parts), named));
    }
    let untold = |_| Err(StoreError::new(ErrorKind::Unavailable, "the start got no answer; start the same id again"));
    answered.await.unwrap_or_else(untold)
}

fn lock(parts: &Parts, named: bool) -> std::sync::MutexGuard<'_, Queue> {
    let queue = if named { &parts.starts.named } else { &parts.starts.fresh };
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends groups until nothing waits.
async fn lane(parts: Weak<Parts>, named: bool) {
    while let Some(parts) = parts.upgrade() {
        let group = {
            let mut queue = lock(&parts, named);
            let size = queue.waiting.len().min(GROUP_LIMIT);
            if size == 0 {
                queue.lanes -= 1;
                return;
            }
            queue.waiting.drain(..size).collect::<Vec<_>>()
        };
        send(&parts, group).await;
    }
}

async fn send(parts: &Arc<Parts>, group: Vec<Job>) {
    let runs: Vec<NewRun> = group.iter().map(|job| job.new.clone()).collect();
    match parts.store.start(runs).await {
        Ok(answers) => {
            // A job without an answer is dropped, which its caller is told.
            for (job, answer) in group.into_iter().zip(answers) {
                tell(parts, job, Ok(answer));
            }
        }
        Err(error) if group.len() == 1 => {
            group.into_iter().next().into_iter().zip([error]).for_each(|(job, error)| tell(parts, job, Err(error)));
        }
        // Each by itself, so that what holds up one of them holds up no other.
        Err(_) => {
            for job in group {
                let parts = Arc::clone(parts);
                parts.spawner.clone().spawn(async move {
                    match parts.store.start(vec![job.new.clone()]).await.map(|mut answers| answers.pop()) {
                        Ok(Some(answer)) => {
                            let answer = mine(answer, &job.new);
                            tell(&parts, job, Ok(answer));
                        }
                        Ok(None) => {}
                        Err(error) => tell(&parts, job, Err(error)),
                    }
                });
            }
        }
    }
}

/// The call before, that got no answer, may have started it.
fn mine(answer: Started, new: &NewRun) -> Started {
    match answer {
        Started::Existing { execution, .. } if execution == new.execution => Started::New,
        other => other,
    }
}

fn tell(parts: &Parts, job: Job, answer: Answer) {
    let Job { new, answer: caller } = job;
    if let Err(untold) = caller.send(answer)
        && new.claim_for.is_some()
        && let Some(worker) = &parts.worker
    {
        // The caller has gone; the run, if there is one, is this worker's and waits for its driver.
        let started = matches!(untold, Ok(Started::New));
        if started || untold.is_err_and(|error| error.is_retryable()) {
            worker.resolve_start(new);
        }
    }
}
