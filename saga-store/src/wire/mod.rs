//! The journal's wire format: the one place that knows how records are bytes.
//!
//! A record is CBOR with numbered fields, so that any CBOR tool can show it, an old build skips
//! what a newer one has added, and a new build finds old fields absent. Numbers are never reused.
//! Golden files in the test suite pin the encoding of each entry.

mod chain;
mod child;
mod completion;
mod conclusion;
mod entry;
mod errand;
mod failure;
mod note;
mod op;
mod payload;
mod progress;
mod record;
mod row;

pub use chain::{Continued, NextStart, StartTerms};
pub use child::{ChildEnd, ChildEnded, ChildScheduled, ChildStart, Parent, ParentEnd};
pub use completion::{Completion, CompletionEnd};
pub use conclusion::Conclusion;
pub use entry::{
    AtCall, Attempted, Care, Claimed, Entry, OpValue, Repair, Retry, RunStarted, RunTerms, StepEnded, StepFailed,
    StepScheduled, TimerSet, UndoCause, UndoPlan, UndoStep,
};
pub use errand::{Errand, InSession, Relay, Relayed};
pub use failure::{Failure, FailureKind};
pub use note::{CancelRequest, EventMessage, EventSent, Recipient};
pub use op::OpId;
pub use payload::{Encoding, INLINE_LIMIT, Payload, PayloadData};
pub use progress::Progressed;
pub use record::{FORMAT, RECORD_LIMIT, Record, join_rows, split_rows};
pub use row::{Blob, JournalRow, Row};

use std::cell::Cell;

use bytes::Bytes;

/// Bytes that are no record, or one of a format that this build does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    message: String,
    newer: bool,
}

impl DecodeError {
    pub(crate) fn newer(message: String) -> Self {
        Self { message, newer: true }
    }

    pub(crate) fn corrupt(message: String) -> Self {
        Self { message, newer: false }
    }

    /// Whether a newer build wrote it: another worker may be able to read it.
    pub fn is_newer_format(&self) -> bool {
        self.newer
    }
}

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DecodeError {}

thread_local! {
    /// Where values are written before it is known how long they are.
    static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Takes what is written in small pieces: most of a record is single bytes.
struct Writer(Vec<u8>);

impl minicbor::encode::Write for Writer {
    type Error = std::convert::Infallible;

    #[inline]
    fn write_all(&mut self, piece: &[u8]) -> Result<(), Self::Error> {
        match piece {
            [byte] => self.0.push(*byte),
            _ => self.0.extend_from_slice(piece),
        }
        Ok(())
    }
}

/// Longer values keep the memory that they were written in.
const SHORT: usize = 4 * 1024;

/// The bytes of a value of this format, in as much memory as they need.
pub fn encode<T: minicbor::Encode<()>>(value: &T) -> Bytes {
    let mut writer = Writer(ROOM.take());
    writer.0.clear();
    if let Err(error) = minicbor::encode(value, &mut writer) {
        unreachable!("writing CBOR to memory cannot fail: {error}");
    }
    let Writer(out) = writer;
    if out.len() > SHORT {
        return Bytes::from(out);
    }
    let bytes = Bytes::copy_from_slice(&out);
    ROOM.set(out);
    bytes
}

/// The value that these bytes are.
pub fn decode<'b, T: minicbor::Decode<'b, ()>>(bytes: &'b [u8]) -> Result<T, DecodeError> {
    minicbor::decode(bytes).map_err(|error| {
        if error.is_unknown_variant() {
            DecodeError::newer(format!("written by a newer build: {error}"))
        } else {
            DecodeError::corrupt(format!("not a value of the journal's format: {error}"))
        }
    })
}

/// An execution's id as 16 bytes.
mod execution {
    use minicbor::decode::{Decoder, Error};
    use minicbor::encode::{self, Encoder, Write};

    use crate::ids::ExecutionId;

    pub(super) fn encode<C, W: Write>(
        id: &ExecutionId,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.bytes(id.as_bytes())?.ok()
    }

    pub(super) fn decode<C>(d: &mut Decoder<'_>, _: &mut C) -> Result<ExecutionId, Error> {
        let bytes = d.bytes()?.try_into().map_err(|_| Error::message("an execution's id has 16 bytes"))?;
        Ok(ExecutionId::from_bytes(bytes))
    }
}
