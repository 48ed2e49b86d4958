//! Pieces open in their places, with their keys, unchanged; nothing else does.

use super::*;
use crate::key::Key;

fn keys(id: u32, byte: u8) -> Keys {
    Keys::new(KeyId(id), Key::from_bytes([byte; 32]))
}

fn row(execution: u8, seq: u64) -> Place {
    Place::Row(ExecutionId::from_bytes([execution; 16]), Seq(seq))
}

const TEXT: &[u8] = b"the card 4111 1111 1111 1111 was charged, was charged, was charged, was charged, was charged";

#[test]
fn what_is_sealed_opens_in_its_place_and_shows_nothing_of_itself() {
    for seal in [Seal::new().encrypt(keys(1, 7)), Seal::new().encrypt(keys(1, 7)).compress_over(10)] {
        let sealed = seal.close(row(1, 4), Bytes::from_static(TEXT));
        assert!(!sealed.windows(4).any(|window| window == b"4111"));
        assert_eq!(seal.open(row(1, 4), sealed).unwrap(), TEXT);
    }
}

#[test]
fn a_piece_does_not_open_in_another_place() {
    let seal = Seal::new().encrypt(keys(1, 7));
    let sealed = seal.close(row(1, 4), Bytes::from_static(TEXT));
    let id = [1; 16];
    let others = [
        row(1, 5),
        row(2, 4),
        Place::Blob(BlobId::from_bytes(id)),
        Place::Message(MessageId::from_bytes(id)),
        Place::Conclusion(ExecutionId::from_bytes(id)),
        Place::Status(ExecutionId::from_bytes(id)),
    ];
    for place in others {
        assert_eq!(seal.open(place, sealed.clone()), Err(OpenError::Altered), "{place:?}");
    }
}

#[test]
fn no_bit_of_a_piece_can_be_changed() {
    let seal = Seal::new().encrypt(keys(1, 7));
    let sealed = seal.close(row(1, 4), Bytes::from_static(b"pay 5 cents"));
    for bit in 0..sealed.len() * 8 {
        let mut changed = sealed.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(seal.open(row(1, 4), changed.into()).is_err(), "bit {bit}");
    }
    for length in 0..sealed.len() {
        assert!(seal.open(row(1, 4), sealed.slice(..length)).is_err(), "cut to {length} bytes");
    }
}

#[test]
fn the_same_bytes_are_never_sealed_alike() {
    let seal = Seal::new().encrypt(keys(1, 7));
    assert_ne!(seal.close(row(1, 4), Bytes::from_static(TEXT)), seal.close(row(1, 4), Bytes::from_static(TEXT)));
}

#[test]
fn an_old_key_opens_and_the_current_one_seals() {
    let before = Seal::new().encrypt(keys(1, 7)).close(row(1, 0), Bytes::from_static(TEXT));
    let seal = Seal::new().encrypt(keys(2, 9).with_old(KeyId(1), Key::from_bytes([7; 32])));
    assert_eq!(seal.open(row(1, 0), before.clone()).unwrap(), TEXT);
    let after = seal.close(row(1, 1), Bytes::from_static(TEXT));
    assert_eq!(Seal::new().encrypt(keys(2, 9)).open(row(1, 1), after).unwrap(), TEXT);
    assert_eq!(Seal::new().encrypt(keys(2, 9)).open(row(1, 0), before.clone()), Err(OpenError::MissingKey(KeyId(1))));
    assert_eq!(Seal::new().encrypt(keys(1, 8)).open(row(1, 0), before.clone()), Err(OpenError::Altered));
    assert_eq!(Seal::new().open(row(1, 0), before), Err(OpenError::MissingKey(KeyId(1))));
}

#[test]
fn plain_data_is_refused_where_encryption_is_asked_for_unless_it_is_accepted() {
    let plain = Bytes::from_static(TEXT);
    let squeezed = Seal::new().compress_over(10).close(row(1, 0), plain.clone());
    assert!(squeezed.len() < plain.len());
    let strict = Seal::new().encrypt(keys(1, 7));
    let lenient = strict.clone().accept_unsealed();
    for old in [plain.clone(), squeezed] {
        assert_eq!(strict.open(row(1, 0), old.clone()), Err(OpenError::Plain));
        assert_eq!(lenient.open(row(1, 0), old.clone()).unwrap(), TEXT);
        assert_eq!(Seal::new().open(row(1, 0), old).unwrap(), TEXT);
    }
}

#[test]
fn plain_bytes_that_look_sealed_come_back_as_they_were() {
    for tail in [&b""[..], &[0], &[1, 2, 3]] {
        let plain = join(&[&MARK, tail]);
        assert_eq!(Seal::new().open(row(1, 0), Seal::new().close(row(1, 0), plain.clone())).unwrap(), plain);
    }
    let of_a_later_version = join(&[&MARK[..3], &[2, 9]]);
    let closed = Seal::new().close(row(1, 0), of_a_later_version.clone());
    assert_eq!(Seal::new().open(row(1, 0), closed).unwrap(), of_a_later_version);
    let seal = Seal::new();
    let future = join(&[&MARK[..3], &[2, 0]]);
    assert_eq!(seal.open(row(1, 0), future), Err(OpenError::Newer));
}

#[test]
fn what_does_not_become_smaller_is_not_compressed() {
    let seal = Seal::new().compress_over(0);
    let short = Bytes::from_static(b"{}");
    assert_eq!(seal.close(row(1, 0), short.clone()), short);
}

/// Memory is taken for what is to come out before anything is read.
#[test]
fn a_piece_that_promises_more_than_it_can_hold_is_altered() {
    for size in [u32::MAX, 1 << 20, 256 * 4] {
        let piece = join(&[&MARK, &[COMPRESSED], &size.to_le_bytes(), &[0x1f, 7, 1]]);
        assert_eq!(Seal::new().open(row(1, 0), piece), Err(OpenError::Altered), "{size}");
    }
    let zeros = Bytes::from(vec![0; 1 << 20]);
    let squeezed = Seal::new().compress_over(10).close(row(1, 0), zeros.clone());
    assert!(squeezed.len() < zeros.len() / 200, "{}", squeezed.len());
    assert_eq!(Seal::new().open(row(1, 0), squeezed).unwrap(), zeros);
}
