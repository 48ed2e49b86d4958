//! The runs that this worker drives now.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use saga_store::ExecutionId;
use tokio::sync::Notify;

/// A running driver's mailbox: flags and a wake. It fits in a few words, as there are many.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    flags: AtomicU8,
    notify: Notify,
}

/// What a driver is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "flags that are raised independently, not a state")]
pub(crate) struct Mail {
    /// There may be messages in the inbox.
    pub(crate) inbox: bool,
    /// The engine stops: start nothing more.
    pub(crate) stop: bool,
    /// The run is no longer this worker's: drop it.
    pub(crate) lost: bool,
    /// The run was released and given to this worker again before its driver had left.
    pub(crate) again: bool,
}

const INBOX: u8 = 1;
const STOP: u8 = 2;
const LOST: u8 = 4;
const AGAIN: u8 = 8;

impl Mailbox {
    pub(crate) fn inbox(&self) {
        self.raise(INBOX);
    }

    pub(crate) fn stop(&self) {
        self.raise(STOP);
    }

    pub(crate) fn lost(&self) {
        self.raise(LOST);
    }

    fn raise(&self, flag: u8) {
        self.flags.fetch_or(flag, Ordering::AcqRel);
        self.notify.notify_one();
    }

    /// Takes the flags; the inbox flag is then down, the others stay.
    pub(crate) fn take(&self) -> Mail {
        let flags = self.flags.fetch_and(!INBOX, Ordering::AcqRel);
        Mail { inbox: flags & INBOX != 0, stop: flags & STOP != 0, lost: flags & LOST != 0, again: flags & AGAIN != 0 }
    }

    /// Waits until a flag is raised.
    pub(crate) async fn raised(&self) {
        self.notify.notified().await;
    }
}

/// The mailboxes of all live runs, with a limit to their number.
pub(crate) struct LiveRuns {
    limit: usize,
    runs: Mutex<HashMap<ExecutionId, Arc<Mailbox>>>,
    room: Notify,
    emptied: Notify,
}

impl LiveRuns {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, runs: Mutex::default(), room: Notify::new(), emptied: Notify::new() }
    }

    /// How many more runs there is room for.
    pub(crate) fn free(&self) -> usize {
        self.limit.saturating_sub(self.lock().len())
    }

    pub(crate) fn contains(&self, execution: ExecutionId) -> bool {
        self.lock().contains_key(&execution)
    }

    /// Adds a run. If its last driver has not left yet, that one is told that there is more to do.
    pub(crate) fn insert(&self, execution: ExecutionId) -> Option<Arc<Mailbox>> {
        let mailbox = Arc::new(Mailbox::default());
        let mut runs = self.lock();
        if let Some(leaving) = runs.get(&execution) {
            leaving.raise(AGAIN);
            return None;
        }
        runs.insert(execution, Arc::clone(&mailbox));
        Some(mailbox)
    }

    pub(crate) fn remove(&self, execution: ExecutionId) {
        let (was_full, is_empty) = {
            let mut runs = self.lock();
            let was_full = runs.len() >= self.limit;
            runs.remove(&execution);
            (was_full, runs.is_empty())
        };
        if was_full {
            self.room.notify_one();
        }
        if is_empty {
            self.emptied.notify_one();
        }
    }

    pub(crate) fn get(&self, execution: ExecutionId) -> Option<Arc<Mailbox>> {
        self.lock().get(&execution).cloned()
    }

    /// Tells all.
    pub(crate) fn for_each(&self, mut tell: impl FnMut(&Mailbox)) {
        for mailbox in self.lock().values() {
            tell(mailbox);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Lets the claim loop look.
    pub(crate) fn look_again(&self) {
        self.room.notify_one();
    }

    /// Waits until there may be room again. One task waits for it.
    pub(crate) async fn room(&self) {
        self.room.notified().await;
    }

    /// Waits until no run is left. One task waits for it.
    pub(crate) async fn emptied(&self) {
        while !self.is_empty() {
            self.emptied.notified().await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ExecutionId, Arc<Mailbox>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_is_given_back_before_its_driver_has_left_is_not_forgotten() {
        let live = LiveRuns::new(2);
        let execution = ExecutionId::from_bytes([1; 16]);
        let leaving = live.insert(execution).unwrap();
        assert!(live.insert(execution).is_none());
        live.get(execution).unwrap().inbox();
        live.remove(execution);
        let mail = leaving.take();
        assert!(mail.again && mail.inbox && !mail.lost && !mail.stop);
        assert!(live.insert(execution).is_some());
    }
}
