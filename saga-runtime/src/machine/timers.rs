//! What is due at which moment: each timer by its moment, and the moment of each timer.

use saga_store::Timestamp;
use saga_store::wire::OpId;

use super::TaskKey;
use crate::few::FewMap;
use crate::seldom::Empty;

/// What a moment is waited for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TimerKey {
    Sleep(OpId),
    Retry(TaskKey),
    Deadline(OpId),
    /// The run's own.
    RunDeadline,
    /// The moment of a delayed start.
    Begin,
}

/// Each timer has one moment.
#[derive(Debug, Default)]
pub(super) struct Timers {
    by_moment: FewMap<(Timestamp, TimerKey), ()>,
    moments: FewMap<TimerKey, Timestamp>,
}

impl Empty for Timers {
    fn empty() -> &'static Self {
        static EMPTY: Timers = Timers { by_moment: FewMap::new(), moments: FewMap::new() };
        &EMPTY
    }
}

impl Timers {
    /// Sets a timer, or sets it anew.
    pub(super) fn set(&mut self, due: Timestamp, timer: TimerKey) {
        if let Some(before) = self.moments.insert(timer.clone(), due) {
            self.by_moment.remove(&(before, timer.clone()));
        }
        self.by_moment.insert((due, timer), ());
    }

    pub(super) fn remove(&mut self, timer: &TimerKey) {
        if let Some(due) = self.moments.remove(timer) {
            self.by_moment.remove(&(due, timer.clone()));
        }
    }

    pub(super) fn remove_retry(&mut self, key: &TaskKey) {
        if !self.moments.is_empty() {
            self.remove(&TimerKey::Retry(key.clone()));
        }
    }

    /// Whether a task waits for its next attempt.
    pub(super) fn has_retry(&self, key: &TaskKey) -> bool {
        !self.moments.is_empty() && self.moments.contains_key(&TimerKey::Retry(key.clone()))
    }

    /// When the first is due.
    pub(super) fn first(&self) -> Option<Timestamp> {
        self.by_moment.first().map(|(due, _)| *due)
    }

    /// The first.
    pub(super) fn pop(&mut self) -> Option<TimerKey> {
        let ((_, timer), ()) = self.by_moment.pop_first()?;
        self.moments.remove(&timer);
        Some(timer)
    }

    /// The run only waits: room that it may need later is given back.
    pub(super) fn rest(&mut self) {
        self.by_moment.shrink();
        self.moments.shrink();
    }

    /// The tasks that wait for their next attempts.
    pub(super) fn retries(&self) -> impl Iterator<Item = &TaskKey> {
        self.moments.keys().filter_map(|timer| if let TimerKey::Retry(key) = timer { Some(key) } else { None })
    }

    /// Of these, the ones whose time has come.
    pub(super) fn due_retries(&self, now: Timestamp) -> Vec<TaskKey> {
        let due = self.by_moment.keys().take_while(|(due, _)| *due <= now);
        due.filter_map(|(_, timer)| if let TimerKey::Retry(key) = timer { Some(key.clone()) } else { None }).collect()
    }

    /// Removes all others.
    pub(super) fn keep_retries(&mut self) {
        self.by_moment.retain(|(_, timer), ()| matches!(timer, TimerKey::Retry(_)));
        self.moments.retain(|timer, _| matches!(timer, TimerKey::Retry(_)));
    }

    /// A branch was dropped: nobody waits for its sleeps and deadlines.
    pub(super) fn drop_within(&mut self, scope: &OpId) {
        for of in [TimerKey::Sleep, TimerKey::Deadline] {
            let within = |timer: &TimerKey| match (timer, of(OpId::root())) {
                (TimerKey::Sleep(op), TimerKey::Sleep(_)) | (TimerKey::Deadline(op), TimerKey::Deadline(_)) => {
                    op.is_within(scope)
                }
                _ => false,
            };
            let from = of(scope.clone());
            let gone: Vec<TimerKey> = self
                .moments
                .starting_at(&from)
                .map(|(timer, _)| timer)
                .take_while(|timer| within(timer))
                .cloned()
                .collect();
            for timer in &gone {
                self.remove(timer);
            }
        }
    }
}
