//! A record: what one commit of a run says, and how it becomes rows.

use bytes::{Bytes, BytesMut};
use minicbor::{Decode, Encode};

use super::entry::Entry;
use super::row::{JournalRow, Row};
use super::{DecodeError, decode, encode};
use crate::ids::Timestamp;

/// The format's number. A build refuses records with a higher one, and leaves their run to others.
pub const FORMAT: u32 = 1;

/// The longest row of a journal; a longer record goes on in the next row.
pub const RECORD_LIMIT: usize = 256 * 1024;

/// What one commit of a run says: what arrived, each with the decisions that it caused.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
#[cbor(array)]
pub struct Record {
    /// [`FORMAT`] of the writer.
    #[n(0)]
    pub format: u32,
    /// When it was written, by the store's clock: microseconds since 1970.
    #[n(1)]
    at: i64,
    /// What it says, in order.
    #[n(2)]
    pub entries: Vec<Entry>,
}

impl Record {
    /// A record of this build's format.
    pub fn new(at: Timestamp, entries: Vec<Entry>) -> Self {
        Self { format: FORMAT, at: at.as_micros(), entries }
    }

    /// When it was written, by the store's clock.
    pub fn at(&self) -> Timestamp {
        Timestamp::from_micros(self.at)
    }

    /// The record's bytes.
    pub fn to_bytes(&self) -> Bytes {
        encode(self)
    }

    /// The record that these bytes are.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut decoder = minicbor::Decoder::new(bytes);
        let format = decoder
            .array()
            .and_then(|_| decoder.u32())
            .map_err(|error| DecodeError::corrupt(format!("not a record: {error}")))?;
        if format > FORMAT {
            return Err(DecodeError::newer(format!("the record has format {format}, this build reads up to {FORMAT}")));
        }
        decode(bytes)
    }
}

/// Cuts a record's bytes into rows of at most [`RECORD_LIMIT`].
pub fn split_rows(body: Bytes) -> Vec<Row> {
    if body.len() <= RECORD_LIMIT {
        return vec![Row { body, more: false }];
    }
    let count = body.len().div_ceil(RECORD_LIMIT);
    (0..count)
        .map(|i| Row {
            body: body.slice(i * RECORD_LIMIT..body.len().min((i + 1) * RECORD_LIMIT)),
            more: i + 1 < count,
        })
        .collect()
}

/// Reads a journal's rows as records. A record whose last rows are missing was never
/// acknowledged as a whole and cannot occur, since a commit is atomic; it is an error.
pub fn join_rows(rows: &[JournalRow]) -> Result<Vec<Record>, DecodeError> {
    let mut records = Vec::with_capacity(rows.len());
    let mut parts = BytesMut::new();
    for row in rows {
        let whole = !row.more && parts.is_empty();
        if !whole {
            parts.extend_from_slice(&row.body);
        }
        if row.more {
            continue;
        }
        let record = if whole { Record::from_bytes(&row.body) } else { Record::from_bytes(&parts.split()) };
        records.push(record.map_err(|error| DecodeError {
            message: format!("journal row {}: {}", row.seq, error.message),
            ..error
        })?);
    }
    if parts.is_empty() {
        Ok(records)
    } else {
        Err(DecodeError::corrupt("the journal's last record is cut off".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Nonce, Seq};
    use crate::wire::{Conclusion, Payload};

    fn rows(record: &Record) -> Vec<JournalRow> {
        split_rows(record.to_bytes())
            .into_iter()
            .enumerate()
            .map(|(i, row)| JournalRow { seq: Seq(i as u64), nonce: Nonce(1), more: row.more, body: row.body })
            .collect()
    }

    fn large() -> Record {
        let entries =
            (0..20).map(|_| Entry::Concluded(Conclusion::Completed(Payload::json(vec![b'7'; 60_000])))).collect();
        Record::new(Timestamp::from_micros(5), entries)
    }

    #[test]
    fn a_large_record_continues_in_further_rows_and_is_read_back_whole() {
        let rows = rows(&large());
        assert_eq!(rows.len(), 5);
        assert!(rows.iter().all(|row| row.body.len() <= RECORD_LIMIT));
        assert_eq!(rows.iter().filter(|row| row.more).count(), 4);
        assert_eq!(join_rows(&rows).unwrap(), vec![large()]);
    }

    #[test]
    fn a_record_that_is_cut_off_is_an_error() {
        let mut rows = rows(&large());
        rows.pop();
        assert!(join_rows(&rows).unwrap_err().to_string().contains("cut off"));
    }

    #[test]
    fn a_record_of_a_newer_format_is_left_to_a_newer_build() {
        let newer = Record { format: FORMAT + 1, at: 0, entries: Vec::new() };
        assert!(Record::from_bytes(&newer.to_bytes()).unwrap_err().is_newer_format());
        assert!(!Record::from_bytes(b"junk").unwrap_err().is_newer_format());
    }
}
