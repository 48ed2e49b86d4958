//! A user's value as bytes.

use bytes::Bytes;
use minicbor::data::Type;
use minicbor::{Decode, Decoder, Encode, Encoder};

use crate::ids::BlobId;

/// Payloads larger than this go beside the journal: 64 KiB.
pub const INLINE_LIMIT: usize = 64 * 1024;

/// How a payload's bytes are to be read. Numbers are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Encoding(pub u8);

impl Encoding {
    /// JSON text, neither compressed nor encrypted.
    pub const JSON: Self = Self(0);
    /// `MessagePack`, neither compressed nor encrypted.
    pub const MESSAGE_PACK: Self = Self(1);
}

/// Where a payload's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PayloadData {
    /// Here.
    Inline(Bytes),
    /// Beside the journal.
    Blob {
        /// Under this id.
        id: BlobId,
        /// So many bytes.
        len: u64,
    },
}

/// A user's value as bytes: an input, an output, an error, an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// How the bytes are to be read.
    pub encoding: Encoding,
    /// Where they are.
    pub data: PayloadData,
}

impl Payload {
    /// A JSON text.
    pub fn json(text: impl Into<Bytes>) -> Self {
        Self { encoding: Encoding::JSON, data: PayloadData::Inline(text.into()) }
    }

    /// The number of bytes of the value.
    pub fn len(&self) -> u64 {
        match &self.data {
            PayloadData::Inline(bytes) => bytes.len() as u64,
            PayloadData::Blob { len, .. } => *len,
        }
    }

    /// Whether the value has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, if they are here.
    pub fn inline(&self) -> Option<&Bytes> {
        match &self.data {
            PayloadData::Inline(bytes) => Some(bytes),
            PayloadData::Blob { .. } => None,
        }
    }
}

/// A byte string is JSON here; an array says the encoding first, then the bytes, or the blob's
/// id and length.
impl<C> Encode<C> for Payload {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        match &self.data {
            PayloadData::Inline(bytes) if self.encoding == Encoding::JSON => e.bytes(bytes)?.ok(),
            PayloadData::Inline(bytes) => e.array(2)?.u8(self.encoding.0)?.bytes(bytes)?.ok(),
            PayloadData::Blob { id, len } => e.array(3)?.u8(self.encoding.0)?.bytes(id.as_bytes())?.u64(*len)?.ok(),
        }
    }
}

impl<'b, C> Decode<'b, C> for Payload {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        if d.datatype()? == Type::Bytes {
            return Ok(Self::json(Bytes::copy_from_slice(d.bytes()?)));
        }
        let length = d.array()?;
        let encoding = Encoding(d.u8()?);
        let bytes = d.bytes()?;
        let data = match length {
            Some(2) => PayloadData::Inline(Bytes::copy_from_slice(bytes)),
            Some(3) => {
                let id = bytes.try_into().map_err(|_| minicbor::decode::Error::message("a blob id has 16 bytes"))?;
                PayloadData::Blob { id: BlobId::from_bytes(id), len: d.u64()? }
            }
            _ => return Err(minicbor::decode::Error::message("a payload is bytes, or an array of 2 or 3")),
        };
        Ok(Self { encoding, data })
    }
}
