//! The attempts of one run that are under way.
//!
//! The first one is polled by the run's own task, which costs no spawn; further ones, which run
//! beside it, get tasks of their own.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::sync::mpsc;

use crate::activity::AttemptEnd;
use crate::erased::BoxFuture;
use crate::machine::TaskKey;
use crate::spawn::{Spawner, Task};

/// An attempt that has ended.
pub(crate) type AttemptDone = (TaskKey, AttemptEnd);

/// Whether an attempt that may have to wait has begun; nothing, if it begins at once.
pub(crate) type Begun = Option<Arc<AtomicBool>>;

fn waits(begun: &Begun) -> bool {
    begun.as_ref().is_some_and(|begun| !begun.load(Ordering::Acquire))
}

pub(crate) struct Attempts {
    spawner: Spawner,
    inline: Option<(TaskKey, Begun, BoxFuture<'static, AttemptEnd>)>,
    spawned: Option<Box<Spawned>>,
}

/// Attempts with tasks of their own. Each has a number: an answer of one that was let go must not
/// pass for that of a later one of the same key.
struct Spawned {
    tasks: BTreeMap<TaskKey, (u64, Begun, Task)>,
    next: u64,
    ended: mpsc::UnboundedSender<(u64, AttemptDone)>,
    answers: mpsc::UnboundedReceiver<(u64, AttemptDone)>,
}

impl Spawned {
    fn new() -> Self {
        let (ended, answers) = mpsc::unbounded_channel();
        Self { tasks: BTreeMap::new(), next: 0, ended, answers }
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        for (_, _, task) in self.tasks.values() {
            task.abort();
        }
    }
}

impl Attempts {
    pub(crate) fn new(spawner: Spawner) -> Self {
        Self { spawner, inline: None, spawned: None }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.inline.is_none() && self.spawned.as_ref().is_none_or(|spawned| spawned.tasks.is_empty())
    }

    /// Starts an attempt; `alone` if no other is started with it.
    pub(crate) fn start(&mut self, key: TaskKey, alone: bool, begun: Begun, attempt: BoxFuture<'static, AttemptEnd>) {
        if alone && self.is_empty() {
            self.inline = Some((key, begun, attempt));
            return;
        }
        let spawned = self.spawned.get_or_insert_with(|| Box::new(Spawned::new()));
        let (of, ended, number) = (key.clone(), spawned.ended.clone(), spawned.next);
        spawned.next += 1;
        let task = self.spawner.spawn(async move {
            let end = attempt.await;
            // A run that was dropped meanwhile does not mind.
            let _ = ended.send((number, (of, end)));
        });
        spawned.tasks.insert(key, (number, begun, task));
    }

    /// Drops an attempt.
    pub(crate) fn abort(&mut self, key: &TaskKey) {
        if self.inline.as_ref().is_some_and(|(inline, ..)| inline == key) {
            self.inline = None;
        }
        if let Some((_, _, task)) = self.spawned.as_mut().and_then(|spawned| spawned.tasks.remove(key)) {
            task.abort();
        }
    }

    /// Drops the attempts that wait and have not begun.
    pub(crate) fn drop_waiting(&mut self) {
        if self.inline.as_ref().is_some_and(|(_, begun, _)| waits(begun)) {
            self.inline = None;
        }
        if let Some(spawned) = &mut self.spawned {
            spawned.tasks.retain(|_, (_, begun, task)| {
                let waits = waits(begun);
                if waits {
                    task.abort();
                }
                !waits
            });
        }
    }

    /// The next attempt that ends; never, if none is under way.
    pub(crate) async fn next(&mut self) -> AttemptDone {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// An attempt that has ended by now.
    pub(crate) fn try_next(&mut self) -> Option<AttemptDone> {
        match self.poll_next(&mut Context::from_waker(std::task::Waker::noop())) {
            Poll::Ready(done) => Some(done),
            Poll::Pending => None,
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<AttemptDone> {
        if let Some((key, _, attempt)) = &mut self.inline
            && let Poll::Ready(end) = attempt.as_mut().poll(cx)
        {
            let key = key.clone();
            self.inline = None;
            return Poll::Ready((key, end));
        }
        let Some(spawned) = &mut self.spawned else { return Poll::Pending };
        while let Poll::Ready(Some((number, (key, end)))) = spawned.answers.poll_recv(cx) {
            if spawned.tasks.get(&key).is_some_and(|(current, ..)| *current == number) {
                spawned.tasks.remove(&key);
                return Poll::Ready((key, end));
            }
        }
        Poll::Pending
    }
}
