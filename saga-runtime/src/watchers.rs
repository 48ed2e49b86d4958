//! Who follows which run, in this process.

use std::sync::{Mutex, PoisonError};

use saga_store::ExecutionId;
use tokio::sync::watch::{Receiver, Sender};

use crate::by_execution::ByExecution;

/// The calls that follow runs, by execution.
#[derive(Default)]
pub(crate) struct Watchers {
    following: Mutex<ByExecution<Sender<()>>>,
}

impl Watchers {
    /// Begins to follow a run: the receiver changes when the run may have.
    pub(crate) fn follow(&self, execution: ExecutionId) -> Receiver<()> {
        let mut following = self.lock();
        following.retain(|_, sender| sender.receiver_count() > 0);
        following.entry(execution).or_insert_with(|| Sender::new(())).subscribe()
    }

    /// A run may have changed.
    pub(crate) fn tell(&self, execution: ExecutionId) {
        if let Some(sender) = self.lock().get(&execution) {
            sender.send_replace(());
        }
    }

    /// Any run may have changed.
    pub(crate) fn tell_all(&self) {
        self.lock().values().for_each(|sender| sender.send_replace(()));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, ByExecution<Sender<()>>> {
        self.following.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
