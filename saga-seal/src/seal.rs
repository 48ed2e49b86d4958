//! How bytes are sealed and opened.
//!
//! A sealed piece is: four bytes that begin nothing else (no record, no JSON), a byte of flags, and,
//! if it is encrypted, the key's number and the nonce; then the content. Compression is inside of
//! the encryption.

use std::fmt;

use bytes::Bytes;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use saga_store::{BlobId, ExecutionId, MessageId, Seq};

use crate::key::{KeyId, Keys};

/// `0xf8 0x00` is neither well-formed CBOR nor UTF-8.
const MARK: [u8; 4] = [0xf8, 0x00, b's', 1];

const ENCRYPTED: u8 = 1;
const COMPRESSED: u8 = 2;
const NONCE: usize = 24;
const KEY_ID: usize = 4;

/// LZ4 makes at most so many bytes of one.
const MOST_EXPANSION: usize = 255;

/// Where a piece belongs: it opens nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A row of a journal.
    Row(ExecutionId, Seq),
    /// A large payload. Its id is unique.
    Blob(BlobId),
    /// A message, which may pass through several boxes. Its id is unique.
    Message(MessageId),
    /// How a run ended.
    Conclusion(ExecutionId),
    /// What a workflow last said of itself.
    Status(ExecutionId),
    /// What was noted at the start of a run.
    Memo(ExecutionId),
}

impl Place {
    fn to_bytes(self) -> Vec<u8> {
        let (kind, id, seq) = match self {
            Self::Row(execution, seq) => (0_u8, *execution.as_bytes(), seq.0),
            Self::Blob(id) => (1, *id.as_bytes(), 0),
            Self::Message(id) => (2, *id.as_bytes(), 0),
            Self::Conclusion(execution) => (3, *execution.as_bytes(), 0),
            Self::Status(execution) => (4, *execution.as_bytes(), 0),
            Self::Memo(execution) => (5, *execution.as_bytes(), 0),
        };
        [&[kind][..], &id, &seq.to_be_bytes()].concat()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Row(execution, seq) => write!(f, "record {seq} of execution {execution}"),
            Self::Blob(id) => write!(f, "payload {id}"),
            Self::Message(id) => write!(f, "message {id}"),
            Self::Conclusion(execution) => write!(f, "the end of execution {execution}"),
            Self::Status(execution) => write!(f, "the status of execution {execution}"),
            Self::Memo(execution) => write!(f, "the memo of execution {execution}"),
        }
    }
}

/// Why a piece does not open.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// This process lacks the key.
    MissingKey(KeyId),
    /// It was altered, moved from another place, or sealed by another key of the same number.
    Altered,
    /// It is not sealed, and such data is not accepted.
    Plain,
    /// It was sealed by a newer version.
    Newer,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingKey(id) => {
                write!(f, "it is sealed with key {id}, which this process lacks; add it with `Keys::with_old`")
            }
            Self::Altered => {
                f.write_str("its seal is broken: it was altered, moved, or sealed by another key of the same number")
            }
            Self::Plain => f.write_str(
                "it is not sealed; if the store holds data from before it was sealed, use `Seal::accept_unsealed`",
            ),
            Self::Newer => f.write_str("it was sealed by a newer version of saga-seal"),
        }
    }
}

impl std::error::Error for OpenError {}

/// What is done to bytes on their way to the store: nothing, unless it is asked for.
#[derive(Debug, Clone, Default)]
pub struct Seal {
    keys: Option<Keys>,
    compress_over: Option<usize>,
    accept_unsealed: bool,
}

impl Seal {
    /// Neither encryption nor compression; opens compressed data.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Encrypts all that is written. What is read must be encrypted, unless
    /// [`Seal::accept_unsealed`] says otherwise.
    #[must_use]
    pub fn encrypt(mut self, keys: Keys) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Compresses pieces of at least so many bytes, where that makes them smaller.
    ///
    /// If somebody can choose a part of what is stored together with a secret, and sees the size of
    /// the result, compression tells of the secret. Leave it off there.
    #[must_use]
    pub fn compress_over(mut self, bytes: usize) -> Self {
        self.compress_over = Some(bytes);
        self
    }

    /// Also reads data that is not encrypted: what a store held before. Whoever can write to the
    /// database can then put plain records there; leave it off as soon as the old runs are gone.
    #[must_use]
    pub fn accept_unsealed(mut self) -> Self {
        self.accept_unsealed = true;
        self
    }

    /// Seals a piece for its place.
    ///
    /// # Panics
    ///
    /// If the operating system has no random bytes to give, or the piece is larger than 256 GiB.
    #[must_use]
    pub fn close(&self, place: Place, plain: Bytes) -> Bytes {
        let compressed = self
            .compress_over
            .filter(|least| plain.len() >= *least)
            .map(|_| lz4_flex::compress_prepend_size(&plain))
            .filter(|compressed| compressed.len() + MARK.len() < plain.len());
        let flags = if compressed.is_some() { COMPRESSED } else { 0 };
        let content = compressed.map_or_else(|| plain.clone(), Bytes::from);
        let Some(keys) = &self.keys else {
            // A plain piece that begins like a sealed one, of any version, must not be taken for one.
            return if flags == 0 && !plain.starts_with(&MARK[..3]) {
                plain
            } else {
                join(&[&MARK, &[flags], &content])
            };
        };
        let (id, key) = keys.current();
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).expect("the operating system has random bytes");
        let head = join(&[&MARK, &[flags | ENCRYPTED], &id.0.to_be_bytes()]);
        let bound = [&head[..], &place.to_bytes()].concat();
        let sealed = XChaCha20Poly1305::new(key.bytes().into())
            .encrypt(XNonce::from_slice(&nonce), Payload { msg: &content, aad: &bound })
            .expect("a piece is smaller than the cipher's limit");
        join(&[&head, &nonce, &sealed])
    }

    /// Opens a piece from its place.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn open(&self, place: Place, sealed: Bytes) -> Result<Bytes, OpenError> {
        let plain_is_fine = self.keys.is_none() || self.accept_unsealed;
        if !sealed.starts_with(&MARK[..3]) {
            return if plain_is_fine { Ok(sealed) } else { Err(OpenError::Plain) };
        }
        if sealed[3..].first() != Some(&MARK[3]) {
            return Err(OpenError::Newer);
        }
        let flags = *sealed.get(MARK.len()).ok_or(OpenError::Altered)?;
        if flags & !(ENCRYPTED | COMPRESSED) != 0 {
            return Err(OpenError::Newer);
        }
        let head = MARK.len() + 1;
        let content = if flags & ENCRYPTED == 0 {
            if !plain_is_fine {
                return Err(OpenError::Plain);
            }
            sealed.slice(head..)
        } else {
            self.decrypt(place, &sealed, head + KEY_ID)?
        };
        if flags & COMPRESSED == 0 {
            return Ok(content);
        }
        decompress(&content).ok_or(OpenError::Altered)
    }

    fn decrypt(&self, place: Place, sealed: &Bytes, head: usize) -> Result<Bytes, OpenError> {
        if sealed.len() < head + NONCE {
            return Err(OpenError::Altered);
        }
        let id = sealed[head - KEY_ID..head].try_into().map(u32::from_be_bytes).map_err(|_| OpenError::Altered)?;
        let key = self.keys.as_ref().and_then(|keys| keys.find(KeyId(id))).ok_or(OpenError::MissingKey(KeyId(id)))?;
        let bound = [&sealed[..head], &place.to_bytes()].concat();
        let (nonce, content) = sealed[head..].split_at(NONCE);
        XChaCha20Poly1305::new(key.bytes().into())
            .decrypt(XNonce::from_slice(nonce), Payload { msg: content, aad: &bound })
            .map(Bytes::from)
            .map_err(|_| OpenError::Altered)
    }
}

/// What was compressed. The size that stands in front is believed only as far as the rest can
/// account for it: memory is taken for it before anything is read.
fn decompress(content: &[u8]) -> Option<Bytes> {
    let (size, rest) = content.split_first_chunk()?;
    let size = usize::try_from(u32::from_le_bytes(*size)).ok()?;
    if size > rest.len().saturating_mul(MOST_EXPANSION) {
        return None;
    }
    lz4_flex::decompress(rest, size).ok().map(Bytes::from)
}

fn join(parts: &[&[u8]]) -> Bytes {
    parts.concat().into()
}

#[cfg(test)]
mod tests;
