//! The journal's bytes are pinned: what is in a database today is read by every later build.
//!
//! Each example has a file with its bytes in hexadecimal, and both ways are checked. A file that
//! differs is a change of the format. Where the change is meant, `SAGA_GOLDEN=accept cargo test`
//! writes the files anew; the old ones must then be kept as examples that are still read.

mod examples;

use std::collections::BTreeSet;
use std::fmt::{Debug, Write};
use std::path::PathBuf;

use minicbor::{Decode, Encode};
use saga_store::MessageBody;
use saga_store::wire::{ChildEnd, Conclusion, Entry, FailureKind, ParentEnd, Record, decode, encode};

use examples::{child_ends, conclusions, entries, failure_kinds, messages, ops, parent_ends, payloads, records};

fn file(kind: &str, name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{kind}.{name}.hex"))
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.chunks(32).fold(String::new(), |mut text, line| {
        for byte in line {
            let _ = write!(text, "{byte:02x}");
        }
        text + "\n"
    })
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
}

/// Holds the examples of one kind against their files, or writes these.
fn check<T>(kind: &str, examples: &[(&str, T)])
where
    T: Encode<()> + for<'b> Decode<'b, ()> + PartialEq + Debug,
{
    for (name, value) in examples {
        let file = file(kind, name);
        let encoded = to_hex(&encode(value));
        if std::env::var("SAGA_GOLDEN").is_ok_and(|what| what == "accept") {
            std::fs::write(&file, &encoded).unwrap();
        }
        let golden = std::fs::read_to_string(&file).unwrap_or_else(|error| {
            panic!("{}: {error}; write it with SAGA_GOLDEN=accept", file.display());
        });
        assert_eq!(encoded, golden, "{kind} {name} is written in another way than before: {value:?}");
        let decoded: T = decode(&from_hex(&golden)).unwrap();
        assert_eq!(&decoded, value, "{kind} {name} is read in another way than before");
    }
}

#[test]
fn each_entry_keeps_its_bytes() {
    check("entry", &entries());
}

#[test]
fn each_conclusion_keeps_its_bytes() {
    check("conclusion", &conclusions());
}

#[test]
fn each_form_of_a_payload_keeps_its_bytes() {
    check("payload", &payloads());
}

#[test]
fn each_form_of_an_operations_place_keeps_its_bytes() {
    check("op", &ops());
}

#[test]
fn each_kind_of_failure_keeps_its_number() {
    check("failure_kind", &failure_kinds());
}

#[test]
fn each_end_of_a_child_keeps_its_bytes() {
    check("child_end", &child_ends());
}

#[test]
fn each_way_to_end_with_the_parent_keeps_its_number() {
    check("parent_end", &parent_ends());
}

#[test]
fn each_message_keeps_its_bytes() {
    check("message", &messages());
}

#[test]
fn a_record_keeps_its_bytes() {
    check("record", &records());
    for (name, record) in records() {
        let golden = from_hex(&std::fs::read_to_string(file("record", name)).unwrap());
        assert_eq!(Record::from_bytes(&golden).unwrap(), record);
    }
}

/// The first number of what each example of an enum is encoded to.
fn numbers<T: Encode<()>>(examples: &[(&str, T)]) -> BTreeSet<u32> {
    let number = |value: &T| {
        let bytes = encode(value);
        let mut decoder = minicbor::Decoder::new(&bytes);
        if decoder.datatype().unwrap() == minicbor::data::Type::Array {
            decoder.array().unwrap();
        }
        decoder.u32().unwrap()
    };
    examples.iter().map(|(_, value)| number(value)).collect()
}

/// The numbers that this build knows: what else it says of an empty body, it knows the number.
fn known<T: for<'b> Decode<'b, ()>>(craft: impl Fn(u32) -> Vec<u8>) -> BTreeSet<u32> {
    (0..1000).filter(|number| !decode::<T>(&craft(*number)).is_err_and(|error| error.is_newer_format())).collect()
}

#[test]
fn there_is_an_example_of_every_variant() {
    let bodiless = |number| {
        let mut bytes = Vec::new();
        minicbor::Encoder::new(&mut bytes).array(2).unwrap().u32(number).unwrap().array(0).unwrap();
        bytes
    };
    assert_eq!(numbers(&entries()), known::<Entry>(bodiless));
    assert_eq!(numbers(&conclusions()), known::<Conclusion>(bodiless));
    assert_eq!(numbers(&messages()), known::<MessageBody>(bodiless));
    assert_eq!(numbers(&child_ends()), known::<ChildEnd>(bodiless));
    assert_eq!(numbers(&parent_ends()), known::<ParentEnd>(|number| minicbor::to_vec(number).unwrap()));
    assert_eq!(numbers(&failure_kinds()), known::<FailureKind>(|number| minicbor::to_vec(number).unwrap()));
}

#[test]
fn every_golden_file_is_an_example() {
    fn names<T>(kind: &str, examples: Vec<(&str, T)>) -> Vec<PathBuf>
    where
        T: Encode<()> + for<'b> Decode<'b, ()> + PartialEq + Debug,
    {
        // So that accepting works for this test too, whichever test comes first.
        check(kind, &examples);
        examples.into_iter().map(|(name, _)| file(kind, name)).collect()
    }
    let expected: BTreeSet<_> = [
        names("entry", entries()),
        names("conclusion", conclusions()),
        names("payload", payloads()),
        names("op", ops()),
        names("failure_kind", failure_kinds()),
        names("child_end", child_ends()),
        names("parent_end", parent_ends()),
        names("message", messages()),
        names("record", records()),
    ]
    .concat()
    .into_iter()
    .collect();
    let folder = file("", "").parent().unwrap().to_owned();
    let found: BTreeSet<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(found, expected);
}
