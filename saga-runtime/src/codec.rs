//! Values as payloads: JSON text, with a size limit.

use std::cell::Cell;
use std::fmt;

use bytes::Bytes;
use saga_store::wire::{Encoding, Payload};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The largest payload: 2 MB.
pub const PAYLOAD_LIMIT: usize = 2 * 1024 * 1024;

thread_local! {
    /// Where values are written before it is known how long they are.
    static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Longer values keep the memory that they were written in.
const SHORT: usize = 4 * 1024;

/// A value that cannot be recorded, or a recorded one that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodecError {
    message: String,
}

impl CodecError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CodecError {}

/// Encodes a value.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Payload, CodecError> {
    let mut text = ROOM.take();
    text.clear();
    serde_json::to_writer(&mut text, value)
        .map_err(|error| CodecError::new(format!("`{}` as JSON: {error}", std::any::type_name::<T>())))?;
    if text.len() > PAYLOAD_LIMIT {
        return Err(CodecError::new(format!(
            "`{}` has {} bytes, the limit is {PAYLOAD_LIMIT}; keep large data elsewhere and pass a reference",
            std::any::type_name::<T>(),
            text.len()
        )));
    }
    if text.len() > SHORT {
        return Ok(Payload::json(text));
    }
    let payload = Payload::json(Bytes::copy_from_slice(&text));
    ROOM.set(text);
    Ok(payload)
}

/// A value that somebody else has encoded: a JSON text, kept as it is.
pub(crate) fn of_json(text: &str) -> Result<Payload, CodecError> {
    serde_json::from_str::<serde::de::IgnoredAny>(text)
        .map_err(|error| CodecError::new(format!("no JSON: {error}")))?;
    if text.len() > PAYLOAD_LIMIT {
        return Err(CodecError::new(format!("the text has {} bytes, the limit is {PAYLOAD_LIMIT}", text.len())));
    }
    Ok(Payload::json(text.as_bytes().to_vec()))
}

/// Decodes a value.
pub(crate) fn decode<T: DeserializeOwned>(payload: &Payload) -> Result<T, CodecError> {
    if payload.encoding != Encoding::JSON {
        return Err(CodecError::new(format!(
            "the payload has encoding {}, which this build lacks",
            payload.encoding.0
        )));
    }
    let Some(bytes) = payload.inline() else {
        return Err(CodecError::new("the payload is stored beside the journal and was not fetched"));
    };
    serde_json::from_slice(bytes).map_err(|error| {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(120)]).into_owned();
        CodecError::new(format!("not a `{}`: {error}, in {shown}", std::any::type_name::<T>()))
    })
}

/// The text of a panic.
pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without a message".to_owned()
    }
}
