//! What the driver of a run is told while it waits.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Poll;

use futures_util::task::AtomicWaker;

use crate::activity::Listener;

/// A running driver's mailbox: flags and whom to wake. It fits in a few words, as there are many.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    flags: AtomicU8,
    driver: AtomicWaker,
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
    /// Somebody has ended the run: look whether it was another than its driver.
    pub(crate) ended: bool,
}

impl Mail {
    fn of(flags: u8) -> Self {
        Self { inbox: flags & INBOX != 0, stop: flags & STOP != 0, lost: flags & LOST != 0, ended: flags & ENDED != 0 }
    }
}

const INBOX: u8 = 1;
const STOP: u8 = 2;
const LOST: u8 = 4;
const ENDED: u8 = 8;
/// There is news that the driver has not heard of.
const NEWS: u8 = 16;

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

    pub(crate) fn ended(&self) {
        self.raise(ENDED);
    }

    fn raise(&self, flag: u8) {
        self.flags.fetch_or(flag | NEWS, Ordering::AcqRel);
        self.driver.wake();
    }

    /// Takes the flags; those of the inbox and of an end are then down, the others stay.
    pub(crate) fn take(&self) -> Mail {
        Mail::of(self.flags.fetch_and(!(INBOX | ENDED), Ordering::AcqRel))
    }

    /// The same of whoever looks at all of them now: there is no news in them any more.
    pub(crate) fn take_all(&self) -> Mail {
        Mail::of(self.flags.fetch_and(!(INBOX | ENDED | NEWS), Ordering::AcqRel))
    }

    /// The flags, which stay.
    pub(crate) fn peek(&self) -> Mail {
        Mail::of(self.flags.load(Ordering::Acquire))
    }

    /// Wakes the driver once more, which has heard of a flag and has not looked at it.
    pub(crate) fn wake(&self) {
        self.raise(0);
    }

    /// Waits until a flag is raised. One waits at a time, the run's driver.
    pub(crate) fn raised(&self) -> impl Future<Output = ()> + Send {
        poll_fn(|cx| {
            if self.hears() {
                return Poll::Ready(());
            }
            self.driver.register(cx.waker());
            // What was raised meanwhile has woken nobody.
            if self.hears() { Poll::Ready(()) } else { Poll::Pending }
        })
    }

    fn hears(&self) -> bool {
        self.flags.load(Ordering::Acquire) & NEWS != 0 && self.flags.fetch_and(!NEWS, Ordering::AcqRel) & NEWS != 0
    }
}

impl Listener for Mailbox {
    fn heard(&self) {
        self.wake();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn news_is_heard_once_whether_it_came_before_the_driver_waited_or_after() {
        let mailbox = Mailbox::default();
        assert!(mailbox.raised().now_or_never().is_none());
        mailbox.inbox();
        mailbox.stop();
        assert!(mailbox.raised().now_or_never().is_some(), "it came while nobody waited");
        assert!(mailbox.raised().now_or_never().is_none(), "two at once are one piece of news");
        assert_eq!(mailbox.take(), Mail { inbox: true, stop: true, lost: false, ended: false });
        assert_eq!(mailbox.take(), Mail { inbox: false, stop: true, lost: false, ended: false });
        mailbox.wake();
        assert!(mailbox.raised().now_or_never().is_some());
        assert!(!mailbox.peek().inbox, "a wake says nothing new");
        mailbox.ended();
        assert_eq!(mailbox.take_all(), Mail { inbox: false, stop: true, lost: false, ended: true });
        assert!(mailbox.raised().now_or_never().is_none(), "all of it was looked at");
    }

    #[test]
    fn who_waits_is_woken() {
        let (mailbox, woken) = (Mailbox::default(), std::sync::Arc::new(Counts::default()));
        let waker = std::task::Waker::from(std::sync::Arc::clone(&woken));
        let mut raised = std::pin::pin!(mailbox.raised());
        assert!(raised.as_mut().poll(&mut std::task::Context::from_waker(&waker)).is_pending());
        mailbox.lost();
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert!(raised.poll(&mut std::task::Context::from_waker(&waker)).is_ready());
    }

    #[derive(Default)]
    struct Counts(AtomicU8);

    impl std::task::Wake for Counts {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}
