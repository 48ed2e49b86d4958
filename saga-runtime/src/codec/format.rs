//! The formats that values can be written in.

use std::fmt;

use saga_store::wire::{Encoding, Payload};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{CodecError, lacks};

#[cfg(feature = "msgpack")]
use super::msgpack;

/// In which format a worker or a client writes values: inputs, outputs, errors, events, statuses
/// and what else is recorded of users' types. Give it to
/// [`EngineBuilder::codec`](crate::EngineBuilder::codec) or [`Client::codec`](crate::Client::codec).
///
/// Each payload says which format it is in, so that all builds read what they can read, whatever they
/// write themselves: a worker goes on with a run that another one has written in another format, and
/// the choice can be changed at any time. First give all builds the feature, then let one of them write.
/// A build that lacks a format says which one, and which feature to enable; what it cannot read stays
/// as it is.
///
/// ```
/// use saga_runtime::store::wire::Payload;
/// use saga_runtime::Codec;
///
/// let payload = Payload::json(r#"{"sku":"lamp"}"#);
/// assert_eq!(Codec::to_json(&payload).unwrap(), r#"{"sku":"lamp"}"#);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Codec {
    /// JSON text: the default. People and databases can read it.
    #[default]
    Json,
    /// `MessagePack`: smaller, and faster where values are large or are bytes (`serde_bytes`). Needs
    /// the feature `msgpack`.
    ///
    /// Structs are written with the names of their fields, and types in their form for people, so
    /// that a change of a type breaks live runs if, and only if, it does with JSON. `show`, exported
    /// histories and logs turn it into JSON for whoever reads them. Memos stay JSON, since lists show
    /// them.
    #[cfg(feature = "msgpack")]
    MessagePack,
}

impl Codec {
    /// A recorded value as JSON text, for people and other programs; the text itself if it was written
    /// as JSON. Bytes are arrays of numbers, and keys of maps are strings. Nothing that counts is
    /// made of it.
    ///
    /// # Errors
    ///
    /// If the payload is in a format that this build lacks, is broken, or is kept beside the journal
    /// and was not fetched.
    pub fn to_json(payload: &Payload) -> Result<String, CodecError> {
        super::text(payload)
    }

    /// A recorded value, in whichever format it is.
    ///
    /// # Errors
    ///
    /// As [`to_json`](Self::to_json), or if it is no `T`.
    pub fn decode<T: DeserializeOwned>(payload: &Payload) -> Result<T, CodecError> {
        super::decode(payload)
    }

    /// The format of a payload.
    pub(super) fn of(payload: &Payload) -> Result<Self, CodecError> {
        match payload.encoding {
            Encoding::JSON => Ok(Self::Json),
            #[cfg(feature = "msgpack")]
            Encoding::MESSAGE_PACK => Ok(Self::MessagePack),
            other => Err(lacks(other)),
        }
    }

    pub(super) fn encoding(self) -> Encoding {
        match self {
            Self::Json => Encoding::JSON,
            #[cfg(feature = "msgpack")]
            Self::MessagePack => Encoding::MESSAGE_PACK,
        }
    }

    pub(super) fn write<T: Serialize + ?Sized>(self, room: &mut Vec<u8>, value: &T) -> Result<(), String> {
        match self {
            Self::Json => serde_json::to_writer(room, value).map_err(|error| error.to_string()),
            #[cfg(feature = "msgpack")]
            Self::MessagePack => msgpack::write(room, value),
        }
    }

    pub(super) fn read<T: DeserializeOwned>(self, bytes: &[u8]) -> Result<T, String> {
        match self {
            Self::Json => serde_json::from_slice(bytes).map_err(|error| error.to_string()),
            #[cfg(feature = "msgpack")]
            Self::MessagePack => msgpack::read(bytes),
        }
    }

    /// The bytes of a value as JSON.
    #[cfg_attr(not(feature = "msgpack"), expect(clippy::unnecessary_wraps, reason = "another format may fail"))]
    pub(super) fn text(self, bytes: &[u8]) -> Result<String, String> {
        match self {
            Self::Json => Ok(String::from_utf8_lossy(bytes).into_owned()),
            #[cfg(feature = "msgpack")]
            Self::MessagePack => msgpack::text(bytes),
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "JSON",
            #[cfg(feature = "msgpack")]
            Self::MessagePack => "MessagePack",
        })
    }
}
