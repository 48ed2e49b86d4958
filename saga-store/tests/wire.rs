//! The wire format between builds of different age, and on bytes that are no record.

use bytes::Bytes;
use minicbor::Encoder;
use saga_store::message::{CancelRequest, EventMessage};
use saga_store::wire::{
    Claimed, Conclusion, Encoding, Entry, FORMAT, Failure, FailureKind, INLINE_LIMIT, OpId, OpValue, Payload,
    PayloadData, Record, Retry, RunStarted, StepEnded, StepFailed, StepScheduled, TimerSet, UndoPlan, UndoStep, decode,
    encode, join_rows, split_rows,
};
use saga_store::{BlobId, JournalRow, MessageBody, Nonce, Seq, Timestamp};

/// The bytes that this writes.
fn craft(write: impl FnOnce(&mut Encoder<&mut Vec<u8>>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut Encoder::new(&mut bytes));
    bytes
}

#[test]
fn a_field_that_a_newer_build_added_is_skipped() {
    let claimed = craft(|e| {
        e.array(2).unwrap().u32(1).unwrap().array(1).unwrap();
        e.array(6)
            .unwrap()
            .str("worker")
            .unwrap()
            .null()
            .unwrap()
            .null()
            .unwrap()
            .null()
            .unwrap()
            .u32(7)
            .unwrap()
            .array(2)
            .unwrap()
            .null()
            .unwrap()
            .bool(true)
            .unwrap();
    });
    assert_eq!(decode::<Entry>(&claimed).unwrap(), Entry::Claimed(Claimed::by("worker")));

    let timer = craft(|e| {
        e.array(2).unwrap().u32(5).unwrap().array(2).unwrap().u32(4).unwrap().str("more").unwrap();
    });
    assert_eq!(decode::<Entry>(&timer).unwrap(), Entry::TimerFired(OpId::root().child(4)));

    let record = craft(|e| {
        e.array(4).unwrap().u32(FORMAT).unwrap().i64(5).unwrap().array(0).unwrap().str("more").unwrap();
    });
    assert_eq!(Record::from_bytes(&record).unwrap(), Record::new(Timestamp::from_micros(5), Vec::new()));
}

#[test]
fn an_optional_field_that_an_older_build_did_not_write_is_absent() {
    let ended = craft(|e| {
        e.array(2).unwrap().u32(2).unwrap().array(1).unwrap();
        e.array(3).unwrap().u32(0).unwrap().u32(1).unwrap().bytes(b"7").unwrap();
    });
    let expected = StepEnded { op: OpId::root().child(0), attempt: 1, output: Payload::json("7"), undo: None };
    assert_eq!(decode::<Entry>(&ended).unwrap(), Entry::StepEnded(expected));

    let cancel = craft(|e| {
        e.array(2).unwrap().u32(0).unwrap().array(1).unwrap().array(0).unwrap();
    });
    assert_eq!(MessageBody::from_bytes(&cancel).unwrap(), MessageBody::Cancel(CancelRequest::default()));
}

#[test]
fn a_field_that_must_be_there_and_is_not_is_an_error_that_no_newer_build_can_mend() {
    let claimed = craft(|e| {
        e.array(2).unwrap().u32(1).unwrap().array(1).unwrap().array(0).unwrap();
    });
    assert!(!decode::<Entry>(&claimed).unwrap_err().is_newer_format());
}

#[test]
fn an_unknown_variant_is_reported_as_a_newer_format() {
    let unknown = craft(|e| {
        e.array(2).unwrap().u32(999).unwrap().array(1).unwrap().str("more").unwrap();
    });
    for error in [
        decode::<Entry>(&unknown).unwrap_err(),
        decode::<Conclusion>(&unknown).unwrap_err(),
        decode::<UndoPlan>(&unknown).unwrap_err(),
        MessageBody::from_bytes(&unknown).unwrap_err(),
        decode::<FailureKind>(&craft(|e| {
            e.u32(999).unwrap();
        }))
        .unwrap_err(),
    ] {
        assert!(error.is_newer_format(), "{error}");
        assert!(error.to_string().contains("newer build"), "{error}");
    }
}

#[test]
fn an_unknown_variant_deep_in_a_journal_is_reported_with_its_row() {
    let record = craft(|e| {
        e.array(3).unwrap().u32(FORMAT).unwrap().i64(0).unwrap().array(1).unwrap();
        e.array(2).unwrap().u32(38).unwrap().array(1).unwrap().array(2).unwrap().u32(999).unwrap().array(0).unwrap();
    });
    let row = |seq, body: Bytes| JournalRow { seq: Seq(seq), nonce: Nonce(1), more: false, body };
    let fine = Record::new(Timestamp::from_micros(0), Vec::new());
    let error = join_rows(&[row(0, fine.to_bytes()), row(1, record.into())]).unwrap_err();
    assert!(error.is_newer_format(), "{error}");
    assert!(error.to_string().starts_with("journal row 1: "), "{error}");
}

#[test]
fn a_payload_of_an_unknown_encoding_is_carried_as_it_is() {
    let payload = Payload { encoding: Encoding(200), data: PayloadData::Inline(Bytes::from_static(b"?")) };
    assert_eq!(decode::<Payload>(&encode(&payload)).unwrap(), payload);
}

#[test]
fn a_payload_of_an_impossible_form_is_an_error() {
    let no_id = craft(|e| {
        e.array(3).unwrap().u8(0).unwrap().bytes(b"short").unwrap().u64(5).unwrap();
    });
    let too_long = craft(|e| {
        e.array(4).unwrap().u8(0).unwrap().bytes(b"").unwrap().u64(5).unwrap().u64(5).unwrap();
    });
    for bytes in [no_id, too_long] {
        assert!(!decode::<Payload>(&bytes).unwrap_err().is_newer_format());
    }
}

/// A source of values that is the same in every run of the tests.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit
    }

    /// Numbers of all magnitudes, since their encodings differ in length.
    fn number(&mut self) -> u64 {
        let bits = self.below(65);
        (self.roll() << 31 | self.roll()) & u64::MAX.checked_shr(u32::try_from(64 - bits).unwrap()).unwrap_or(0)
    }

    fn small(&mut self) -> u32 {
        u32::try_from(self.number() & u64::from(u32::MAX)).unwrap()
    }

    fn text(&mut self) -> String {
        (0..self.below(40)).map(|_| char::from_u32(u32::try_from(self.below(0xd800)).unwrap()).unwrap()).collect()
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.below(2) == 0).then(|| make(self))
    }

    fn op(&mut self) -> OpId {
        (0..self.below(7)).fold(OpId::root(), |op, _| op.child(self.small()))
    }

    fn payload(&mut self) -> Payload {
        let encoding = Encoding(u8::try_from(self.below(256)).unwrap());
        let data = if self.below(4) == 0 {
            let id = BlobId::from_bytes(u128::from(self.number()).to_le_bytes());
            PayloadData::Blob { id, len: self.number() }
        } else {
            PayloadData::Inline((0..self.below(300)).map(|_| u8::try_from(self.below(256)).unwrap()).collect())
        };
        Payload { encoding, data }
    }

    fn undo(&mut self) -> UndoStep {
        let retry = Retry {
            max_attempts: self.maybe(Self::small),
            initial: self.number(),
            max: self.number(),
            multiplier: f64::from(self.small()) / 7.0,
            jitter: f64::MIN_POSITIVE,
        };
        UndoStep { activity: self.text(), input: self.payload(), retry, timeout: self.number() }
    }

    fn entry(&mut self) -> Entry {
        let time = |dice: &mut Self| i64::from_le_bytes(dice.number().to_le_bytes());
        match self.below(8) {
            0 => Entry::Started(Box::new(RunStarted {
                workflow: self.text(),
                version: self.small(),
                id: self.text(),
                input: self.payload(),
                seed: self.number(),
                terms: None,
                parent: None,
            })),
            1 => Entry::StepEnded(StepEnded {
                op: self.op(),
                attempt: self.small(),
                output: self.payload(),
                undo: self.maybe(Self::undo).map(Box::new),
            }),
            2 => Entry::StepFailed(StepFailed {
                op: self.op(),
                attempt: self.small(),
                failure: Failure {
                    kind: FailureKind::Panicked,
                    message: self.text(),
                    error: self.maybe(Self::payload),
                },
                unknown: self.below(2) == 0,
            }),
            3 => Entry::StepScheduled(StepScheduled {
                op: self.op(),
                activity: self.text(),
                input: self.payload(),
                undo: UndoPlan::Known(Box::new(self.undo())),
                deadline: self.maybe(time),
                errand: None,
                at_call: None,
            }),
            4 => Entry::TimerSet(TimerSet { op: self.op(), due: time(self) }),
            5 => Entry::EventReceived(EventMessage { name: self.text(), value: self.payload() }),
            6 => Entry::Value(OpValue { op: self.op(), value: self.payload() }),
            _ => Entry::Concluded(Conclusion::Failed { error: self.payload(), message: self.text() }),
        }
    }

    fn record(&mut self) -> Record {
        let at = Timestamp::from_micros(i64::from_le_bytes(self.number().to_le_bytes()));
        let entries = (0..self.below(6)).map(|_| self.entry()).collect();
        Record::new(at, entries)
    }
}

#[test]
fn every_record_is_read_as_it_was_written() {
    let mut dice = Dice(1);
    for _ in 0..2_000 {
        let record = dice.record();
        assert_eq!(Record::from_bytes(&record.to_bytes()).unwrap(), record);
    }
}

#[test]
fn payloads_of_every_length_are_read_as_they_were_written() {
    for len in [0, 1, 23, 24, 255, 256, 65_535, INLINE_LIMIT, INLINE_LIMIT + 1, 1 << 20] {
        let payload = Payload::json(vec![b'x'; len]);
        assert_eq!(payload.len(), len as u64);
        let read: Payload = decode(&encode(&payload)).unwrap();
        assert!(read == payload, "{len} bytes");
    }
}

#[test]
fn a_journal_cut_into_rows_is_read_as_it_was_written() {
    let mut dice = Dice(2);
    let mut records: Vec<_> = (0..20).map(|_| dice.record()).collect();
    let large = Entry::Value(OpValue { op: dice.op(), value: Payload::json(vec![b'x'; 1_000_000]) });
    records.insert(10, Record::new(Timestamp::from_micros(0), vec![large]));
    let rows: Vec<_> = records.iter().flat_map(|record| split_rows(record.to_bytes())).collect();
    assert!(rows.len() > records.len());
    let journal: Vec<_> = (0..)
        .zip(rows)
        .map(|(seq, row)| JournalRow { seq: Seq(seq), nonce: Nonce(seq), more: row.more, body: row.body })
        .collect();
    assert!(join_rows(&journal).unwrap() == records);
}

#[test]
fn a_record_that_is_cut_off_is_corrupt_and_not_newer() {
    let mut dice = Dice(3);
    for _ in 0..50 {
        let bytes = dice.record().to_bytes();
        for end in 0..bytes.len() {
            let error = Record::from_bytes(&bytes[..end]).unwrap_err();
            assert!(!error.is_newer_format(), "{error}");
        }
    }
}

#[test]
fn no_bytes_make_the_reader_panic() {
    let mut dice = Dice(4);
    for _ in 0..5_000 {
        let mut bytes = dice.record().to_bytes().to_vec();
        for _ in 0..=dice.below(4) {
            let place = usize::try_from(dice.below(bytes.len() as u64)).unwrap();
            bytes[place] = u8::try_from(dice.below(256)).unwrap();
        }
        // Some are records still; what counts is that there is an answer.
        if let Ok(record) = Record::from_bytes(&bytes) {
            assert!(record.format <= FORMAT);
        }
    }
}

#[test]
fn a_length_that_lies_takes_no_memory() {
    for write in [
        |e: &mut Encoder<&mut Vec<u8>>| {
            e.array(u64::MAX).unwrap();
        },
        |e: &mut Encoder<&mut Vec<u8>>| {
            e.bytes_len(u64::MAX).unwrap();
        },
    ] {
        let record = craft(|e| {
            e.array(3).unwrap().u32(FORMAT).unwrap().i64(0).unwrap();
            write(e);
        });
        assert!(Record::from_bytes(&record).is_err());
        assert!(decode::<OpId>(&record[3..]).is_err());
        assert!(decode::<Payload>(&record[3..]).is_err());
    }
}
