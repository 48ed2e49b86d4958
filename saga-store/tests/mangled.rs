//! Bytes from nowhere: whatever stands in a row, decoding it is an answer, not a panic, and what
//! can be decoded means the same when it is written again.
//!
//! The corpus is the pinned encodings. They are mangled in ways that a seed determines;
//! `SAGA_FUZZ_ROUNDS` says how many (default 300,000), and a failure prints the bytes.

use std::path::Path;

use minicbor::{Decode, Encode};
use saga_store::MessageBody;
use saga_store::wire::{Conclusion, Entry, OpId, Payload, Record, decode, encode};

/// Random numbers from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((word ^ (word >> 31)) % sides.max(1) as u64).unwrap_or_default()
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.roll(256)).unwrap_or_default()
    }
}

fn corpus() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let bytes = |path: &Path| {
        let digits: Vec<u8> = std::fs::read_to_string(path).unwrap().bytes().filter(u8::is_ascii_hexdigit).collect();
        let pairs = digits.chunks_exact(2).map(|pair| std::str::from_utf8(pair).unwrap());
        pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
    };
    files.iter().map(|path| bytes(path)).collect()
}

/// Some bytes changed, cut, repeated, or exchanged with another piece's.
fn mangle(dice: &mut Dice, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = corpus[dice.roll(corpus.len())].clone();
    for _ in 0..=dice.roll(4) {
        let at = dice.roll(bytes.len());
        match dice.roll(6) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << dice.roll(8),
            1 if !bytes.is_empty() => bytes[at] = dice.byte(),
            2 => bytes.truncate(at),
            3 => bytes.insert(at.min(bytes.len()), dice.byte()),
            4 => {
                let other = &corpus[dice.roll(corpus.len())];
                let from = dice.roll(other.len());
                bytes.splice(at.min(bytes.len()).., other[from..].iter().copied());
            }
            // A length that promises more than there is.
            _ => {
                let lengths: [&[u8]; 4] = [
                    &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
                    &[0x5a, 0xff, 0xff, 0xff, 0xff],
                    &[0x9f],
                    &[0xbf],
                ];
                let length = lengths[dice.roll(lengths.len())];
                bytes.splice(at.min(bytes.len())..at.min(bytes.len()), length.iter().copied());
            }
        }
    }
    bytes
}

/// Decodes; what is understood means the same when it is written again.
fn understood<T: for<'b> Decode<'b, ()> + Encode<()> + std::fmt::Debug>(bytes: &[u8]) -> bool {
    let Ok(value) = decode::<T>(bytes) else { return false };
    let again: T = decode(&encode(&value)).unwrap_or_else(|error| panic!("{value:?} cannot be read back: {error}"));
    // Compared as text: a NaN is not equal to itself.
    assert_eq!(format!("{value:?}"), format!("{again:?}"));
    true
}

#[test]
fn no_bytes_make_a_decoder_panic_and_what_is_understood_is_written_as_it_was_read() {
    let rounds = std::env::var("SAGA_FUZZ_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(300_000);
    let corpus = corpus();
    let mut dice = Dice(1);
    let mut read = 0_u32;
    for round in 0..rounds {
        let bytes = mangle(&mut dice, &corpus);
        let decoded = std::panic::catch_unwind(|| {
            let _ = Record::from_bytes(&bytes);
            let _ = MessageBody::from_bytes(&bytes);
            [
                understood::<Record>(&bytes),
                understood::<Entry>(&bytes),
                understood::<MessageBody>(&bytes),
                understood::<Conclusion>(&bytes),
                understood::<Payload>(&bytes),
                understood::<OpId>(&bytes),
            ]
        });
        let Ok(answers) = decoded else { panic!("round {round}: {bytes:02x?}") };
        read += u32::from(answers.contains(&true));
    }
    println!("{rounds} rounds over {} pieces, {read} of them understood", corpus.len());
    assert!(read > rounds / 100, "only {read} of {rounds} were understood: the mangling is too rough to find anything");
}
