//! Fresh ids and marks: unique in this process by count, and between processes by chance.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};

use saga_store::{BlobId, ExecutionId, Incarnation, MessageId, Nonce, Timestamp};

/// Makes ids, marks and jitter.
pub(crate) struct Entropy {
    process: [u8; 16],
    counter: AtomicU64,
}

impl Entropy {
    /// Seeded by the operating system.
    pub(crate) fn from_os() -> Self {
        // The standard library's hash keys are the operating system's random bytes.
        let word = |salt: u64| RandomState::new().hash_one((salt, std::process::id(), std::time::SystemTime::now()));
        let mut process = [0; 16];
        process[..8].copy_from_slice(&word(1).to_le_bytes());
        process[8..].copy_from_slice(&word(2).to_le_bytes());
        Self { process, counter: AtomicU64::new(0) }
    }

    /// The same for the same seed.
    #[cfg(feature = "test")]
    pub(crate) fn seeded(seed: u64) -> Self {
        let word = |salt: u64| {
            let mut z = seed.wrapping_add(salt.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        };
        let mut process = [0; 16];
        process[..8].copy_from_slice(&word(1).to_le_bytes());
        process[8..].copy_from_slice(&word(2).to_le_bytes());
        Self { process, counter: AtomicU64::new(0) }
    }

    fn next(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }

    /// 5 bytes of the process and 5 of the count.
    fn bytes(&self) -> [u8; 10] {
        let mut bytes = [0; 10];
        bytes[5..].copy_from_slice(&self.next().to_be_bytes()[3..]);
        bytes[..5].copy_from_slice(&self.process[..5]);
        bytes
    }

    pub(crate) fn execution(&self, now: Timestamp) -> ExecutionId {
        ExecutionId::generate(now, &self.bytes())
    }

    pub(crate) fn incarnation(&self, now: Timestamp) -> Incarnation {
        let mut bytes = [0; 10];
        bytes.copy_from_slice(&self.process[..10]);
        // Two lives of one worker can begin in the same millisecond.
        let count = self.next().to_be_bytes();
        bytes[6..].iter_mut().zip(&count[4..]).for_each(|(byte, of_count)| *byte ^= of_count);
        Incarnation::generate(now, &bytes)
    }

    pub(crate) fn message(&self, now: Timestamp) -> MessageId {
        MessageId::generate(now, &self.bytes())
    }

    pub(crate) fn blob(&self, now: Timestamp) -> BlobId {
        BlobId::generate(now, &self.bytes())
    }

    pub(crate) fn nonce(&self) -> Nonce {
        Nonce(self.word())
    }

    /// A random word.
    pub(crate) fn word(&self) -> u64 {
        let mut base = [0; 8];
        base.copy_from_slice(&self.process[8..]);
        let mut z = u64::from_le_bytes(base).wrapping_add(self.next().wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in 0..1.
    pub(crate) fn unit(&self) -> f64 {
        crate::ops::unit_interval(self.word())
    }
}
