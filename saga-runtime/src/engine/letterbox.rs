//! Where runs put what they send, for the post office to deliver.

use std::sync::atomic::{AtomicUsize, Ordering};

use saga_store::Message;
use tokio::sync::{Notify, mpsc};

/// Where drivers hand in what their runs send. The number of messages is bounded by what the live
/// runs have committed.
pub(crate) struct Post {
    messages: mpsc::UnboundedSender<Message>,
    sweep: Notify,
    under_way: AtomicUsize,
    idle: Notify,
}

impl Post {
    /// A post office, and where its work takes the messages from.
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Message>) {
        let (messages, receiver) = mpsc::unbounded_channel();
        (Self { messages, sweep: Notify::new(), under_way: AtomicUsize::new(0), idle: Notify::new() }, receiver)
    }

    /// Sends messages whose record is durable.
    pub(crate) fn send(&self, messages: Vec<Message>) {
        for message in messages {
            self.under_way.fetch_add(1, Ordering::AcqRel);
            // Without an engine the outbox keeps it.
            let _ = self.messages.send(message);
        }
    }

    /// Looks at once for messages that others left behind.
    pub(crate) fn sweep(&self) {
        self.sweep.notify_one();
    }

    /// Waits until somebody wants that. One task waits for it.
    pub(crate) async fn sweep_wanted(&self) {
        self.sweep.notified().await;
    }

    /// Waits until all that was handed in has been sent. One task waits for it.
    pub(crate) async fn emptied(&self) {
        while self.under_way.load(Ordering::Acquire) > 0 {
            self.idle.notified().await;
        }
    }

    /// So many of the messages that were handed in have been dealt with.
    pub(crate) fn done(&self, count: usize) {
        if self.under_way.fetch_sub(count, Ordering::AcqRel) == count {
            self.idle.notify_one();
        }
    }
}
