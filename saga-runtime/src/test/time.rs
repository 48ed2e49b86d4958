//! Virtual time: it stands until somebody moves it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use saga_store::Timestamp;

/// A clock that is moved by hand, and who waits for which moment.
#[derive(Clone)]
pub(crate) struct VirtualTime(Arc<Mutex<Timers>>);

struct Timers {
    now: Timestamp,
    next: u64,
    waiting: BTreeMap<(Timestamp, u64), Waker>,
}

impl VirtualTime {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(Timers { now, next: 0, waiting: BTreeMap::new() })))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.lock().now
    }

    /// The next moment that somebody waits for.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.lock().waiting.first_key_value().map(|((due, _), _)| *due)
    }

    /// Moves on to a moment, and wakes all who waited for one up to it, in their order.
    pub(crate) fn move_to(&self, moment: Timestamp) {
        let due = {
            let mut timers = self.lock();
            timers.now = timers.now.max(moment);
            let after = (timers.now.after(Duration::from_micros(1)), 0);
            let later = timers.waiting.split_off(&after);
            std::mem::replace(&mut timers.waiting, later)
        };
        for waker in due.into_values() {
            waker.wake();
        }
    }

    pub(crate) fn sleep_until(&self, moment: Timestamp) -> Sleep {
        Sleep { time: self.clone(), moment, key: None }
    }

    fn lock(&self) -> MutexGuard<'_, Timers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for a moment.
pub(crate) struct Sleep {
    time: VirtualTime,
    moment: Timestamp,
    key: Option<(Timestamp, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let time = self.time.clone();
        let mut timers = time.lock();
        if timers.now >= self.moment {
            return Poll::Ready(());
        }
        let key = match self.key {
            Some(key) => key,
            None => {
                timers.next += 1;
                (self.moment, timers.next)
            }
        };
        self.key = Some(key);
        timers.waiting.insert(key, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = &self.key {
            self.time.lock().waiting.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_sleep_ends_when_time_has_come_and_not_before() {
        let start = Timestamp::from_micros(1_000);
        let time = VirtualTime::new(start);
        let mut sleep = time.sleep_until(start.after(Duration::from_micros(5)));
        assert!((&mut sleep).now_or_never().is_none());
        time.move_to(start.after(Duration::from_micros(4)));
        assert!((&mut sleep).now_or_never().is_none());
        assert_eq!(time.next_due(), Some(start.after(Duration::from_micros(5))));
        time.move_to(start.after(Duration::from_micros(5)));
        assert!((&mut sleep).now_or_never().is_some());
    }

    #[test]
    fn a_sleep_that_is_dropped_is_not_waited_for() {
        let time = VirtualTime::new(Timestamp::from_micros(0));
        let mut sleep = time.sleep_until(Timestamp::from_micros(9));
        assert!((&mut sleep).now_or_never().is_none());
        drop(sleep);
        assert_eq!(time.next_due(), None);
    }
}
