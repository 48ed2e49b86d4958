//! Starts for this worker that got no answer, until it is known whether they were applied.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use saga_store::NewRun;
use tokio::sync::Notify;

/// The most starts that are kept, and the most bytes of them. Each has a place among the live runs,
/// so there are no more than runs may be either.
const MOST: usize = 4_096;
const MOST_BYTES: usize = 64 << 20;

/// The orders, in the turn in which they are sent again.
#[derive(Default)]
pub(crate) struct Unanswered {
    orders: Mutex<VecDeque<NewRun>>,
    come: Notify,
}

impl Unanswered {
    /// Keeps an order; whether there is room for it.
    pub(super) fn keep(&self, new: NewRun) -> bool {
        let mut orders = self.lock();
        let bytes = orders.iter().map(size).sum::<usize>();
        let room = orders.len() < MOST && bytes.saturating_add(size(&new)) <= MOST_BYTES;
        if room {
            orders.push_back(new);
            self.come.notify_one();
        }
        room
    }

    /// The first orders, which stay, once there are some. One task waits for them.
    pub(super) async fn first(&self, most: usize) -> Vec<NewRun> {
        loop {
            let first: Vec<NewRun> = self.lock().iter().take(most).cloned().collect();
            if !first.is_empty() {
                return first;
            }
            self.come.notified().await;
        }
    }

    /// So many of the first are settled.
    pub(super) fn settled(&self, count: usize) {
        self.lock().drain(..count);
    }

    /// The first one has to wait for others.
    pub(super) fn put_back(&self) {
        self.lock().rotate_left(1);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<NewRun>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn size(new: &NewRun) -> usize {
    let blobs = new.blobs.iter().map(|blob| blob.bytes.len());
    new.first.len() + blobs.chain(new.messages.iter().map(|(_, body)| body.len())).sum::<usize>()
}
