//! Where runs put what they send, for the post office to deliver.
//!
//! The store's outbox has all of it. When more comes than is delivered, or the target's start is
//! held up, the rest is left there, and swept up when what is at hand has been dealt with.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use saga_store::Message;
use tokio::sync::{Notify, mpsc};

/// The most messages at hand. A message has at most some 64 KiB, most have a few hundred bytes.
pub(crate) const MOST: usize = 4_096;

/// Where drivers hand in what their runs send: [`MOST`] messages, queued and on their way.
pub(crate) struct Post {
    messages: mpsc::UnboundedSender<Message>,
    sweep: Notify,
    under_way: AtomicUsize,
    /// There was too much: what comes is left in the outbox, so that none overtakes what was left
    /// before.
    full: AtomicBool,
    idle: Notify,
}

impl Post {
    /// A post office, and where its work takes the messages from.
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Message>) {
        let (messages, receiver) = mpsc::unbounded_channel();
        let (sweep, idle) = (Notify::new(), Notify::new());
        (Self { messages, sweep, under_way: AtomicUsize::new(0), full: AtomicBool::new(false), idle }, receiver)
    }

    /// Sends messages whose record is durable.
    pub(crate) fn send(&self, messages: Vec<Message>) {
        for message in messages {
            if self.full.load(Ordering::Acquire) || self.under_way.load(Ordering::Acquire) >= MOST {
                self.full.store(true, Ordering::Release);
                if self.under_way.load(Ordering::Acquire) == 0 {
                    self.sweep.notify_one();
                }
                continue;
            }
            self.under_way.fetch_add(1, Ordering::AcqRel);
            // Without an engine the outbox keeps it.
            let _ = self.messages.send(message);
        }
    }

    /// Looks at once for messages that others left behind.
    pub(crate) fn sweep(&self) {
        self.sweep.notify_one();
    }

    /// What comes from now on is taken again: a sweep is about to read what was left.
    pub(crate) fn reopen(&self) {
        self.full.store(false, Ordering::Release);
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
            if self.full.load(Ordering::Acquire) {
                self.sweep.notify_one();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::FutureExt;
    use saga_store::{MessageId, RunId, Target};

    use super::*;

    fn messages(count: usize) -> Vec<Message> {
        let to = Target::Run(RunId::new("A").unwrap());
        let message = |number: usize| {
            let id = MessageId::from_bytes((number as u128).to_be_bytes());
            Message { id, to: to.clone(), body: Bytes::new() }
        };
        (0..count).map(message).collect()
    }

    #[test]
    fn what_is_too_much_is_left_until_the_rest_is_sent_and_nothing_overtakes_it() {
        let (post, mut letters) = Post::new();
        post.send(messages(MOST + 10));
        assert_eq!(letters.len(), MOST);
        let half: Vec<_> = (0..MOST / 2).filter_map(|_| letters.try_recv().ok()).collect();
        post.done(half.len());
        post.send(messages(1));
        assert_eq!(letters.len(), MOST / 2, "what comes now waits behind what was left");
        assert!(post.sweep_wanted().now_or_never().is_none());
        while letters.try_recv().is_ok() {
            post.done(1);
        }
        assert!(post.sweep_wanted().now_or_never().is_some(), "the outbox has the rest");
        post.reopen();
        post.send(messages(1));
        assert_eq!(letters.len(), 1);
    }
}
