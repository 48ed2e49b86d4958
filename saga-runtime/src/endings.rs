//! Who waits for which run to end, in this process.

use std::sync::{Arc, Mutex, PoisonError};

use saga_store::ExecutionId;
use saga_store::wire::Conclusion;
use tokio::sync::oneshot;

use crate::by_execution::ByExecution;

/// How a run ended, with its payloads at hand.
pub(crate) type Ended = Arc<Conclusion>;

/// The waiting calls, by execution.
#[derive(Default)]
pub(crate) struct Endings {
    waiting: Mutex<ByExecution<Vec<oneshot::Sender<Ended>>>>,
}

impl Endings {
    /// Begins to wait. Look at the run once after this: it may have ended before. And look again if
    /// there will be no word ([`Self::forget`]).
    pub(crate) fn wait(&self, execution: ExecutionId) -> oneshot::Receiver<Ended> {
        let (sender, receiver) = oneshot::channel();
        self.lock().entry(execution).or_default().push(sender);
        receiver
    }

    /// Tells all who wait.
    pub(crate) fn publish(&self, execution: ExecutionId, ended: &Ended) {
        let senders = self.lock().remove(&execution).unwrap_or_default();
        for sender in senders {
            // A caller that has gone away does not mind.
            let _ = sender.send(Arc::clone(ended));
        }
    }

    /// Lets all who wait for an execution look for themselves.
    pub(crate) fn forget(&self, execution: ExecutionId) {
        self.lock().remove(&execution);
    }

    /// Whether somebody may wait for an execution.
    pub(crate) fn is_awaited(&self, execution: ExecutionId) -> bool {
        self.lock().contains_key(&execution)
    }

    /// The executions that somebody still waits for.
    pub(crate) fn awaited(&self) -> Vec<ExecutionId> {
        let mut waiting = self.lock();
        waiting.retain(|_, senders| {
            senders.retain(|sender| !sender.is_closed());
            !senders.is_empty()
        });
        let mut awaited: Vec<_> = waiting.keys().copied().collect();
        awaited.sort_unstable();
        awaited
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, ByExecution<Vec<oneshot::Sender<Ended>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
