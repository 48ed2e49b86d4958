//! Ids that follow from others: made before anything is sent, and the same each time they are
//! made.

use saga_store::wire::OpId;
use saga_store::{ExecutionId, MessageId, Timestamp};

/// The child that this operation of a run starts.
pub(crate) fn child(parent: ExecutionId, op: &OpId, at: Timestamp) -> ExecutionId {
    ExecutionId::generate(at, &digest(parent, op, "child"))
}

/// The execution in which a run goes on by this operation: later than the one that goes on, in the
/// order of ids as well.
pub(crate) fn next(of: ExecutionId, op: &OpId, at: Timestamp) -> ExecutionId {
    let earliest = time_of(of).after(std::time::Duration::from_millis(1));
    ExecutionId::generate(at.max(earliest), &digest(of, op, "next"))
}

/// The run that settles what became of a step that another run attempted: of the time of that one.
pub(crate) fn settling(first: ExecutionId, op: &OpId) -> ExecutionId {
    ExecutionId::generate(time_of(first), &digest(first, op, "settle"))
}

/// The millisecond that an execution's id says.
pub(crate) fn time_of(execution: ExecutionId) -> Timestamp {
    let mut millis = [0; 8];
    millis[2..].copy_from_slice(&execution.as_bytes()[..6]);
    Timestamp::from_micros(i64::from_be_bytes(millis).saturating_mul(1000))
}

/// What the child's random values derive from.
pub(crate) fn seed(parent: ExecutionId, op: &OpId) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&digest(parent, op, "seed")[..8]);
    u64::from_le_bytes(word)
}

/// The message that a run sends because of this operation; `what` tells those of one operation
/// apart.
pub(crate) fn message(from: ExecutionId, op: &OpId, what: &str, at: Timestamp) -> MessageId {
    MessageId::generate(at, &digest(from, op, what))
}

/// The message that attempts of a step send: `key` is the step's, `what` tells its messages apart.
pub(crate) fn sent(key: &str, activity: &str, what: &[&[u8]], at: Timestamp) -> MessageId {
    let parts = || [key.as_bytes(), activity.as_bytes()].into_iter().chain(what.iter().copied());
    // With its length before each part no two lists are the same bytes.
    let bytes = || parts().flat_map(|part| (part.len() as u64).to_be_bytes().into_iter().chain(part.iter().copied()));
    MessageId::generate(at, &hashed(bytes))
}

/// 80 bits of two FNV-1a hashes, mixed: the same for all builds and machines.
fn digest(execution: ExecutionId, op: &OpId, what: &str) -> [u8; 10] {
    let numbers = op.path().iter().flat_map(|number| number.to_be_bytes());
    hashed(|| execution.as_bytes().iter().copied().chain(numbers.clone()).chain(what.bytes()))
}

fn hashed<B: Iterator<Item = u8>>(bytes: impl Fn() -> B) -> [u8; 10] {
    let fnv = |basis: u64| bytes().fold(basis, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mut digest = [0; 10];
    digest[..8].copy_from_slice(&mix(fnv(0xcbf2_9ce4_8422_2325)).to_le_bytes());
    digest[8..].copy_from_slice(&mix(fnv(0x9e37_79b9_7f4a_7c15)).to_le_bytes()[..2]);
    digest
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_by_run_by_place_and_by_purpose_and_are_made_again_the_same() {
        let at = Timestamp::from_micros(1_000_000);
        let (one, two) = (ExecutionId::from_bytes([1; 16]), ExecutionId::from_bytes([2; 16]));
        let op = |path: &[u32]| OpId::from(path);
        let ids = [
            message(one, &op(&[1]), "start", at),
            message(two, &op(&[1]), "start", at),
            message(one, &op(&[1, 0]), "start", at),
            message(one, &op(&[256]), "start", at),
            message(one, &op(&[1]), "ended", at),
        ];
        for (i, id) in ids.iter().enumerate() {
            assert_eq!(ids.iter().position(|other| other == id), Some(i));
        }
        assert_eq!(child(one, &op(&[1]), at), child(one, &op(&[1]), at));
    }
}
