//! What a driver knows of one attempt and an attempt of its driver: whether it has begun, whether it
//! heeds the word to stop, and that word.

use std::pin::pin;
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
    /// Of an attempt that may have to wait for its place, or not.
    pub(crate) fn new(waits: bool) -> Self {
        Self { flags: AtomicU8::new(if waits { WAITS } else { 0 }), told: Notify::new() }
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
