//! The journal's decoders: what can be decoded means the same when it is written again.

use bytes::Bytes;
use minicbor::{Decode, Encode};
use saga_store::wire::{Conclusion, Entry, OpId, Payload, Record, decode, encode, join_rows, split_rows};
use saga_store::{JournalRow, MessageBody, Nonce, Seq};

use crate::Target;

pub(crate) const TARGET: Target = Target { name: "journal", take, words: &[] };

fn take(bytes: &[u8]) -> bool {
    [
        understood::<Record>(bytes),
        understood::<Entry>(bytes),
        understood::<MessageBody>(bytes),
        understood::<Conclusion>(bytes),
        understood::<Payload>(bytes),
        understood::<OpId>(bytes),
        record(bytes),
    ]
    .contains(&true)
}

fn understood<T: for<'b> Decode<'b, ()> + Encode<()> + std::fmt::Debug>(bytes: &[u8]) -> bool {
    let Ok(value) = decode::<T>(bytes) else { return false };
    let again: T = decode(&encode(&value)).unwrap_or_else(|error| panic!("{value:?} cannot be read back: {error}"));
    // Compared as text: a NaN is not equal to itself.
    assert_eq!(format!("{value:?}"), format!("{again:?}"));
    true
}

/// A record through rows and back, and bytes that are no record as a row.
fn record(bytes: &[u8]) -> bool {
    let row = |seq: u64, more, body| JournalRow { seq: Seq(seq), nonce: Nonce(1), more, body };
    let alone = join_rows(&[row(0, false, Bytes::copy_from_slice(bytes))]);
    let _ = join_rows(&[row(0, true, Bytes::copy_from_slice(bytes))]);
    let _ = MessageBody::from_bytes(bytes);
    let Ok(record) = Record::from_bytes(bytes) else {
        assert!(alone.is_err(), "a row is understood, and its record is not");
        return false;
    };
    let rows = (0..).zip(split_rows(record.to_bytes())).map(|(seq, part)| row(seq, part.more, part.body));
    let rows: Vec<JournalRow> = rows.collect();
    assert_eq!(join_rows(&rows).map(|records| records.len()), Ok(1), "{record:?}");
    true
}
