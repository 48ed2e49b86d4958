//! Values as payloads: in JSON or `MessagePack`, up to a limit.

mod format;
#[cfg(feature = "msgpack")]
mod msgpack;
mod refusal;

use std::cell::Cell;
use std::fmt;

use bytes::Bytes;
use saga_store::wire::{Encoding, Payload, PayloadData};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use format::Codec;
pub(crate) use refusal::{refusal, refused};

/// The largest payload, unless
/// [`EngineBuilder::payload_limit`](crate::EngineBuilder::payload_limit) or
/// [`Client::payload_limit`](crate::Client::payload_limit) says another size: 2 MB.
pub const PAYLOAD_LIMIT: usize = 2 * 1024 * 1024;

thread_local! {
    /// Where values are written before it is known how long they are.
    static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// How undo calls are written on this thread: they are values before anybody takes them.
    static CURRENT: Cell<Codec> = const { Cell::new(Codec::Json) };
}

/// Longer values keep the memory that they were written in.
const SHORT: usize = 4 * 1024;

/// A value that cannot be recorded, or a recorded one that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodecError {
    message: String,
    too_large: bool,
}

impl CodecError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), too_large: false }
    }

    /// Whether the value is larger than the limit of payloads.
    pub fn is_too_large(&self) -> bool {
        self.too_large
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CodecError {}

/// How values are written, and how large they may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Encoder {
    pub(crate) codec: Codec,
    /// In bytes.
    pub(crate) limit: usize,
}

impl Default for Encoder {
    fn default() -> Self {
        Self { codec: Codec::default(), limit: PAYLOAD_LIMIT }
    }
}

impl Encoder {
    /// The same for values of any size.
    pub(crate) fn without_limit(self) -> Self {
        Self { limit: usize::MAX, ..self }
    }

    /// Encodes a value.
    pub(crate) fn encode<T: Serialize + ?Sized>(self, value: &T) -> Result<Payload, CodecError> {
        let mut room = ROOM.take();
        room.clear();
        self.codec
            .write(&mut room, value)
            .map_err(|error| CodecError::new(format!("`{}` as {}: {error}", std::any::type_name::<T>(), self.codec)))?;
        self.check(room.len() as u64, std::any::type_name::<T>())?;
        let bytes = if room.len() > SHORT {
            Bytes::from(room)
        } else {
            let bytes = shared(&room);
            ROOM.set(room);
            bytes
        };
        Ok(Payload { encoding: self.codec.encoding(), data: PayloadData::Inline(bytes) })
    }

    /// A value that somebody else has encoded: a JSON text, kept as it is.
    pub(crate) fn json(self, text: &str) -> Result<Payload, CodecError> {
        serde_json::from_str::<serde::de::IgnoredAny>(text)
            .map_err(|error| CodecError::new(format!("no JSON: {error}")))?;
        self.check(text.len() as u64, "the JSON text")?;
        Ok(Payload::json(text.as_bytes().to_vec()))
    }

    /// Says what to do if a value has too many bytes.
    pub(crate) fn check(self, len: u64, what: &str) -> Result<(), CodecError> {
        if len <= self.limit as u64 {
            return Ok(());
        }
        Err(CodecError {
            message: format!(
                "`{what}` has {len} bytes, the limit is {}; keep large data elsewhere and pass a reference, or raise `payload_limit`",
                self.limit
            ),
            too_large: true,
        })
    }
}

/// Bytes that several will have: a run, its record and its attempt. As many as most values have are kept
/// together with the count of who has them, for which [`Bytes`] would take room of its own.
fn shared(bytes: &[u8]) -> Bytes {
    match Small::of(bytes) {
        Some(small) => Bytes::from_owner(small),
        None => Bytes::copy_from_slice(bytes),
    }
}

/// The bytes of a small value, where they are.
struct Small {
    bytes: [u8; 47],
    len: u8,
}

impl Small {
    fn of(bytes: &[u8]) -> Option<Self> {
        let mut small = Self { bytes: [0; 47], len: u8::try_from(bytes.len()).ok()? };
        small.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(small)
    }
}

impl AsRef<[u8]> for Small {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// Encodes a value as undo calls are encoded here: with the codec of [`within`], of any size.
pub(crate) fn encode_here<T: Serialize + ?Sized>(value: &T) -> Result<Payload, CodecError> {
    Encoder { codec: CURRENT.get(), limit: usize::MAX }.encode(value)
}

/// Encodes undo calls with this codec while `f` runs, also if it panics: the thread goes on with others.
pub(crate) fn within<R>(codec: Codec, f: impl FnOnce() -> R) -> R {
    struct Before(Codec);

    impl Drop for Before {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }

    let _before = Before(CURRENT.replace(codec));
    f()
}

/// Decodes a value, whatever it was written in.
pub(crate) fn decode<T: DeserializeOwned>(payload: &Payload) -> Result<T, CodecError> {
    let codec = Codec::of(payload)?;
    let bytes = here(payload)?;
    codec.read(bytes).map_err(|error| {
        let shown = text(payload).unwrap_or_default();
        let shown: String = shown.chars().take(120).collect();
        CodecError::new(format!("not a `{}`: {error}, in {shown}", std::any::type_name::<T>()))
    })
}

/// A payload as JSON text. One that is JSON is that very text.
pub(crate) fn text(payload: &Payload) -> Result<String, CodecError> {
    let codec = Codec::of(payload)?;
    codec.text(here(payload)?).map_err(|error| CodecError::new(format!("not {codec}: {error}")))
}

/// Whether the value is one that says nothing, as `()` and `None` are.
pub(crate) fn is_null(payload: &Payload) -> bool {
    payload.len() <= 4 && text(payload).is_ok_and(|text| text == "null")
}

fn here(payload: &Payload) -> Result<&Bytes, CodecError> {
    payload.inline().ok_or_else(|| CodecError::new("the payload is stored beside the journal and was not fetched"))
}

/// What a build says that lacks an encoding.
fn lacks(encoding: Encoding) -> CodecError {
    CodecError::new(if encoding == Encoding::MESSAGE_PACK {
        "the payload is MessagePack, which this build cannot read: enable the feature `msgpack` of saga-runtime"
            .to_owned()
    } else {
        format!("the payload has encoding {}, which this build lacks", encoding.0)
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

#[cfg(test)]
mod tests;
