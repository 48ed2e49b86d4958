//! That a value was too large, as the journal keeps it.
//!
//! What a workflow is refused for its size depends on an option, which may have changed when the run
//! is replayed. So the refusal is recorded, as a value at its place.

use saga_store::wire::{Encoding, Payload, PayloadData};

/// The encoding of a refusal. A number that older builds lack, so that they do not take it for a value.
const REFUSED: Encoding = Encoding(253);

/// What is recorded of a refusal with this message.
pub(crate) fn refusal(message: &str) -> Payload {
    Payload { encoding: REFUSED, data: PayloadData::Inline(message.as_bytes().to_vec().into()) }
}

/// The message of a refusal, if the payload is one.
pub(crate) fn refused(payload: &Payload) -> Option<String> {
    let bytes = payload.inline().filter(|_| payload.encoding == REFUSED)?;
    Some(String::from_utf8_lossy(bytes).into_owned())
}
