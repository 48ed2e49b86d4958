//! The attempts of one run that are under way.
//!
//! The first one is polled by the run's own task, which costs no spawn; further ones, which run
//! beside it, get tasks of their own.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use saga_store::Timestamp;
use tokio::sync::mpsc;

use crate::activity::{AttemptEnd, Lifeline};
use crate::erased::BoxFuture;
use crate::machine::TaskKey;
use crate::spawn::{Spawner, Task};

/// An attempt that has ended.
pub(crate) type AttemptDone = (TaskKey, AttemptEnd);

pub(crate) struct Attempts {
    spawner: Spawner,
    inline: Option<(TaskKey, Arc<Lifeline>, BoxFuture<'static, AttemptEnd>)>,
    /// That of the last one, for the next: steps that come one after the other share one.
    spare: Option<Arc<Lifeline>>,
    spawned: Option<Box<Spawned>>,
    /// Those that nobody waits for and that were told to stop: until when they may take to do so.
    stopping: BTreeMap<TaskKey, Timestamp>,
}

/// Attempts with tasks of their own. Each has a number: an answer of one that was let go must not
/// pass for that of a later one of the same key.
struct Spawned {
    tasks: BTreeMap<TaskKey, (u64, Arc<Lifeline>, Task)>,
    next: u64,
    ended: mpsc::UnboundedSender<(u64, AttemptDone)>,
    answers: mpsc::UnboundedReceiver<(u64, AttemptDone)>,
}

impl Spawned {
    fn new() -> Self {
        // One answer of each attempt: as many at most as the run has under way.
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
        Self { spawner, inline: None, spare: None, spawned: None, stopping: BTreeMap::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.inline.is_none() && self.spawned.as_ref().is_none_or(|spawned| spawned.tasks.is_empty())
    }

    /// The lifeline of an attempt before, if there is one that is not in use.
    pub(crate) fn take_spare(&mut self) -> Option<Arc<Lifeline>> {
        self.spare.take()
    }

    /// Starts an attempt; `alone` if no other is started with it.
    pub(crate) fn start(
        &mut self,
        key: TaskKey,
        alone: bool,
        lifeline: Arc<Lifeline>,
        attempt: BoxFuture<'static, AttemptEnd>,
    ) {
        if alone && self.is_empty() {
            self.inline = Some((key, lifeline, attempt));
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
        spawned.tasks.insert(key, (number, lifeline, task));
    }

    fn lifeline(&self, key: &TaskKey) -> Option<&Lifeline> {
        match &self.inline {
            Some((inline, lifeline, _)) if inline == key => Some(lifeline),
            _ => self.spawned.as_ref()?.tasks.get(key).map(|(_, lifeline, _)| &**lifeline),
        }
    }

    fn lifelines(&self) -> impl Iterator<Item = (&TaskKey, &Lifeline)> {
        let inline = self.inline.iter().map(|(key, lifeline, _)| (key, &**lifeline));
        let spawned = self.spawned.iter().flat_map(|spawned| &spawned.tasks);
        inline.chain(spawned.map(|(key, (_, lifeline, _))| (key, &**lifeline)))
    }

    /// Nobody waits for an attempt any more: it is told to stop, and dropped after that moment; at once
    /// if it has not asked to be told. Whether it is over.
    pub(crate) fn stop(&mut self, key: &TaskKey, until: Timestamp) -> bool {
        if self.lifeline(key).is_some_and(Lifeline::tell) {
            self.stopping.insert(key.clone(), until);
            return false;
        }
        self.abort(key);
        true
    }

    /// The same for all.
    pub(crate) fn stop_all(&mut self, until: Timestamp) {
        let keys: Vec<TaskKey> = self.lifelines().map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.stop(&key, until);
        }
    }

    /// Tells an attempt to stop that somebody still waits for.
    pub(crate) fn tell(&self, key: &TaskKey) {
        if let Some(lifeline) = self.lifeline(key) {
            lifeline.tell();
        }
    }

    /// The same for all.
    pub(crate) fn tell_all(&self) {
        for (_, lifeline) in self.lifelines() {
            lifeline.tell();
        }
    }

    /// Whether nobody waits for this one, which has ended: it is over then.
    pub(crate) fn has_stopped(&mut self, key: &TaskKey) -> bool {
        self.stopping.remove(key).is_some()
    }

    /// Whether some were told to stop that nobody waits for.
    pub(crate) fn some_stop(&self) -> bool {
        !self.stopping.is_empty()
    }

    /// When the first of those that were told to stop has had its time.
    pub(crate) fn stops_by(&self) -> Option<Timestamp> {
        self.stopping.values().min().copied()
    }

    /// Drops those that have had their time to stop.
    pub(crate) fn drop_overdue(&mut self, now: Timestamp) -> Vec<TaskKey> {
        let overdue =
            |(key, until): (&TaskKey, &Timestamp)| (*until <= now && self.lifeline(key).is_some()).then(|| key.clone());
        let overdue: Vec<TaskKey> = self.stopping.iter().filter_map(overdue).collect();
        for key in &overdue {
            self.stopping.remove(key);
            self.abort(key);
        }
        overdue
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
        if self.inline.as_ref().is_some_and(|(_, lifeline, _)| lifeline.waits()) {
            self.inline = None;
        }
        if let Some(spawned) = &mut self.spawned {
            spawned.tasks.retain(|_, (_, lifeline, task)| {
                let waits = lifeline.waits();
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
        if let Some((_, _, attempt)) = &mut self.inline
            && let Poll::Ready(end) = attempt.as_mut().poll(cx)
            && let Some((key, lifeline, _)) = self.inline.take()
        {
            self.spare = Some(lifeline);
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
