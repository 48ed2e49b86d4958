//! What stands around payloads: seals, and histories that were exported.

use bytes::Bytes;
use saga_runtime::History;
use saga_seal::{Key, KeyId, Keys, Place, Seal};
use saga_store::ExecutionId;
use saga_store::wire::{Payload, decode};

use crate::Target;

pub(crate) const TARGET: Target = Target {
    name: "payload",
    take,
    words: &[
        "{",
        "}",
        "[",
        "]",
        "\"history\": 1",
        "\"records\": ",
        "\"cbor\": \"",
        "\"version\": ",
        "\"says\": []",
        "null",
        "1e999",
        "\\ud800",
        "-0",
    ],
};

const LARGE: usize = 300;

fn take(bytes: &[u8]) -> bool {
    let place = Place::Status(ExecutionId::from_bytes([1; 16]));
    let keys = || Keys::new(KeyId(1), Key::from_bytes([7; 32]));
    let piece = || Bytes::copy_from_slice(bytes);
    let seals = [Seal::new(), Seal::new().encrypt(keys()), Seal::new().encrypt(keys()).accept_unsealed()];
    let opened = seals.map(|seal| {
        // What was sealed here opens again, whatever it is. Large pieces take long, and say the same.
        let seal = seal.compress_over(16);
        if bytes.len() < LARGE {
            assert_eq!(seal.open(place, seal.close(place, piece())).as_deref(), Ok(bytes));
        }
        seal.open(place, piece()).is_ok()
    });
    let sealed = bytes.starts_with(&[0xf8, 0x00, b's']) && opened.contains(&true);
    let payload = decode::<Payload>(bytes).is_ok_and(|payload| payload.inline().is_some());
    let history = std::str::from_utf8(bytes).ok().and_then(|text| History::import(text).ok());
    if let Some(history) = &history {
        assert_eq!(History::import(&history.export()).as_ref(), Ok(history));
        assert!(!history.lines().is_empty());
    }
    sealed || payload || history.is_some()
}
