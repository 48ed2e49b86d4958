//! Signs of life of the attempts of one run, on their way to its driver: what they say of how far
//! they are is recorded now and then, not each time that they say it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use saga_store::Timestamp;
use saga_store::wire::{OpId, Payload};

use crate::clock::Clock;

/// What an attempt says is recorded at most so often…
const PACE: Duration = Duration::from_secs(5);

/// …and at most each time that its age has grown by this part: the longer an attempt takes the
/// rarer are its records, and the share of its work that a crash can cost stays the same.
const SHARE: u32 = 20;

/// Who is told that there is something to record.
pub(crate) trait Listener: Send + Sync {
    /// There is.
    fn heard(&self);
}

/// An attempt's task: the step, and whether it is its undo.
type Task = (OpId, bool);

/// What the attempts of one run have said and what is not recorded yet.
pub(crate) struct Board {
    clock: Arc<dyn Clock>,
    listener: Arc<dyn Listener>,
    /// Whether anything was ever said: most attempts say nothing.
    used: AtomicBool,
    tasks: Mutex<BTreeMap<Task, Spoken>>,
}

/// What an attempt has said of how far it is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Said {
    pub(crate) op: OpId,
    pub(crate) undo: bool,
    pub(crate) attempt: u32,
    pub(crate) progress: Payload,
}

/// What an attempt has said, and when.
#[derive(Debug)]
struct Spoken {
    attempt: u32,
    first: Timestamp,
    recorded: Option<Timestamp>,
    said: Option<Payload>,
}

impl Spoken {
    /// When what was said last is to be recorded.
    fn due(&self) -> Option<Timestamp> {
        self.said.as_ref()?;
        Some(match self.recorded {
            None => self.first,
            Some(recorded) => recorded.after(PACE.max(recorded.since(self.first) / SHARE)),
        })
    }
}

impl Board {
    pub(crate) fn new(clock: Arc<dyn Clock>, listener: Arc<dyn Listener>) -> Self {
        Self { clock, listener, used: AtomicBool::new(false), tasks: Mutex::default() }
    }

    /// The time by which signs of life count.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// An attempt says how far it is. What an attempt says that is over is nothing: one that was left
    /// behind may have been dropped before its end was heard of, and speak after it.
    pub(crate) fn say(&self, op: &OpId, undo: bool, attempt: u32, progress: Payload, dropped: &AtomicBool) {
        let now = self.clock.now();
        let is_news = {
            let mut tasks = self.lock();
            if dropped.load(Ordering::Acquire) {
                return;
            }
            let fresh = || Spoken { attempt, first: now, recorded: None, said: None };
            let spoken = tasks.entry((op.clone(), undo)).or_insert_with(fresh);
            if spoken.attempt > attempt {
                return;
            }
            if spoken.attempt < attempt {
                *spoken = fresh();
            }
            spoken.said.replace(progress).is_none()
        };
        self.used.store(true, Ordering::Release);
        if is_news {
            self.listener.heard();
        }
    }

    /// What is to be recorded by now.
    pub(crate) fn take_due(&self) -> Vec<Said> {
        if !self.is_used() {
            return Vec::new();
        }
        let now = self.clock.now();
        let mut tasks = self.lock();
        let due = tasks.iter_mut().filter(|(_, spoken)| spoken.due().is_some_and(|due| due <= now));
        let said = due.filter_map(|((op, undo), spoken)| {
            spoken.recorded = Some(now);
            let (op, undo, attempt) = (op.clone(), *undo, spoken.attempt);
            Some(Said { op, undo, attempt, progress: spoken.said.take()? })
        });
        said.collect()
    }

    /// When there is something to record next.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        if !self.is_used() {
            return None;
        }
        self.lock().values().filter_map(Spoken::due).min()
    }

    /// An attempt is over: what it said and what was not recorded.
    pub(crate) fn ended(&self, op: &OpId, undo: bool) -> Option<(u32, Payload)> {
        if !self.is_used() {
            return None;
        }
        let spoken = self.lock().remove(&(op.clone(), undo))?;
        Some((spoken.attempt, spoken.said?))
    }

    fn is_used(&self) -> bool {
        self.used.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Task, Spoken>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;
    use crate::clock::Still;

    #[derive(Default)]
    struct Counts(AtomicU32);

    impl Listener for Counts {
        fn heard(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// An attempt that says something each second for so long; the moments at which it is recorded.
    fn recorded(seconds: i64) -> Vec<i64> {
        let (clock, listener) = (Still::new(), Arc::new(Counts::default()));
        let board = Board::new(Arc::<Still>::clone(&clock), Arc::<Counts>::clone(&listener));
        let mut moments = Vec::new();
        for second in 0..seconds {
            board.say(&OpId::root(), false, 1, Payload::json(second.to_string()), &AtomicBool::new(false));
            for said in board.take_due() {
                assert_eq!(said.progress, Payload::json(second.to_string()), "the last word counts");
                moments.push(second);
            }
            clock.pass(1);
        }
        moments
    }

    #[test]
    fn the_first_word_is_recorded_at_once_and_the_next_at_a_pace() {
        assert_eq!(recorded(12), [0, 5, 10]);
    }

    #[test]
    fn the_longer_an_attempt_takes_the_rarer_are_its_records() {
        let moments = recorded(24 * 3600);
        assert!(moments.len() < 160, "{} records in a day", moments.len());
        let gaps = moments.windows(2).map(|pair| (pair[0], pair[1] - pair[0]));
        assert!(gaps.into_iter().all(|(age, gap)| gap <= (age / 20).max(5) + 1), "{moments:?}");
    }

    #[test]
    fn an_attempt_that_is_over_has_no_say() {
        let (clock, listener) = (Still::new(), Arc::new(Counts::default()));
        let board = Board::new(Arc::<Still>::clone(&clock), Arc::<Counts>::clone(&listener));
        let op = OpId::root();
        let dropped = AtomicBool::new(false);
        board.say(&op, false, 2, Payload::json("2"), &dropped);
        board.say(&op, false, 1, Payload::json("1"), &dropped);
        board.say(&op, false, 2, Payload::json("3"), &dropped);
        assert_eq!(listener.0.load(Ordering::Relaxed), 1, "who was told and has not looked is not told again");
        assert_eq!(board.next_due(), Some(Timestamp::from_micros(0)));
        assert_eq!(board.ended(&op, true), None, "the undo is another task");
        assert_eq!(board.ended(&op, false), Some((2, Payload::json("3"))));
        assert_eq!(board.next_due(), None);
        dropped.store(true, Ordering::Release);
        board.say(&op, false, 2, Payload::json("4"), &dropped);
        assert_eq!(board.ended(&op, false), None, "its thread goes on, and nobody listens");
    }
}
