//! The attempts of one run that are under way.
//!
//! The first one is polled by the run's own task, which costs no spawn; further ones, which run
//! beside it, get tasks of their own.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::{Context, Poll};

use tokio::task::{AbortHandle, JoinSet};

use crate::activity::AttemptEnd;
use crate::erased::BoxFuture;
use crate::machine::TaskKey;

/// An attempt that has ended.
pub(crate) type AttemptDone = (TaskKey, AttemptEnd);

#[derive(Default)]
pub(crate) struct Attempts {
    inline: Option<(TaskKey, BoxFuture<'static, AttemptEnd>)>,
    spawned: Option<Box<Spawned>>,
}

#[derive(Default)]
struct Spawned {
    tasks: JoinSet<AttemptDone>,
    handles: BTreeMap<TaskKey, AbortHandle>,
}

impl Attempts {
    pub(crate) fn is_empty(&self) -> bool {
        self.inline.is_none() && self.spawned.as_ref().is_none_or(|spawned| spawned.handles.is_empty())
    }

    /// Starts an attempt; `alone` if no other is started with it.
    pub(crate) fn start(&mut self, key: TaskKey, alone: bool, attempt: BoxFuture<'static, AttemptEnd>) {
        if alone && self.is_empty() {
            self.inline = Some((key, attempt));
            return;
        }
        let spawned = self.spawned.get_or_insert_default();
        let of = key.clone();
        let handle = spawned.tasks.spawn(async move { (of, attempt.await) });
        spawned.handles.insert(key, handle);
    }

    /// Drops an attempt.
    pub(crate) fn abort(&mut self, key: &TaskKey) {
        if self.inline.as_ref().is_some_and(|(inline, _)| inline == key) {
            self.inline = None;
        }
        if let Some(handle) = self.spawned.as_mut().and_then(|spawned| spawned.handles.remove(key)) {
            handle.abort();
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
        if let Some((key, attempt)) = &mut self.inline
            && let Poll::Ready(end) = attempt.as_mut().poll(cx)
        {
            let key = key.clone();
            self.inline = None;
            return Poll::Ready((key, end));
        }
        let Some(spawned) = &mut self.spawned else { return Poll::Pending };
        while let Poll::Ready(Some(joined)) = spawned.tasks.poll_join_next(cx) {
            // Attempts catch their panics; what is left are those that were aborted.
            if let Ok((key, end)) = joined
                && spawned.handles.remove(&key).is_some()
            {
                return Poll::Ready((key, end));
            }
        }
        Poll::Pending
    }
}
