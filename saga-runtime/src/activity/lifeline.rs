//! What a driver knows of one attempt and an attempt of its driver: whether it has begun, whether it
//! heeds the word to stop, and that word.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;

/// It waits for a place and has not begun.
const WAITS: u8 = 1;
/// It was told to stop.
const TOLD: u8 = 2;
/// Its code has asked to be told.
const HEEDS: u8 = 4;

/// Shared by an attempt and whoever may have to end it.
#[derive(Debug, Default)]
pub(crate) struct Lifeline {
    flags: AtomicU8,
    told: Notify,
}

impl Lifeline {
    /// Of an attempt that may have to wait for its place, or not. That of an attempt before is used
    /// again, unless somebody still has it: code that keeps its context shall not hear words for
    /// others.
    pub(crate) fn renewed(spare: Option<Arc<Self>>, waits: bool) -> Arc<Self> {
        let new = Self { flags: AtomicU8::new(if waits { WAITS } else { 0 }), told: Notify::new() };
        let Some(mut lifeline) = spare else { return Arc::new(new) };
        match Arc::get_mut(&mut lifeline) {
            Some(free) => *free = new,
            None => lifeline = Arc::new(new),
        }
        lifeline
    }

    /// It has its place.
    pub(crate) fn begin(&self) {
        self.flags.fetch_and(!WAITS, Ordering::AcqRel);
    }

    /// Whether it still waits for its place.
    pub(crate) fn waits(&self) -> bool {
        self.has(WAITS)
    }

    /// The code asks to be told.
    pub(crate) fn heed(&self) {
        self.flags.fetch_or(HEEDS, Ordering::AcqRel);
    }

    /// Tells the attempt to stop. Whether its code has asked to be told: if not it is to be dropped.
    pub(crate) fn tell(&self) -> bool {
        let before = self.flags.fetch_or(TOLD, Ordering::AcqRel);
        self.told.notify_waiters();
        before & HEEDS != 0
    }

    /// Whether it was told.
    pub(crate) fn is_told(&self) -> bool {
        self.has(TOLD)
    }

    /// Waits until it is told.
    pub(crate) async fn told(&self) {
        loop {
            let mut told = pin!(self.told.notified());
            // Listens before it looks, so that no word is missed in between.
            told.as_mut().enable();
            if self.is_told() {
                return;
            }
            told.await;
        }
    }

    fn has(&self, flag: u8) -> bool {
        self.flags.load(Ordering::Acquire) & flag != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifeline_is_used_again_as_a_new_one_unless_somebody_has_it() {
        let first = Lifeline::renewed(None, true);
        let (at, kept) = (Arc::as_ptr(&first), Arc::clone(&first));
        first.heed();
        let second = Lifeline::renewed(Some(first), false);
        second.tell();
        assert!(!kept.is_told() && kept.waits(), "the word was for another");
        assert_ne!(Arc::as_ptr(&second), at);
        let at = Arc::as_ptr(&second);
        let third = Lifeline::renewed(Some(second), false);
        assert_eq!(Arc::as_ptr(&third), at);
        assert!(!third.is_told(), "the word was for the one before");
        assert!(!third.tell(), "this one has not asked to be told");
    }
}
