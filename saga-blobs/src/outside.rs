//! What goes outside, and the reference that is left in its place.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use saga_store::commit::Blob;
use saga_store::{BlobId, ErrorKind, ExecutionId, StoreError};

use crate::blob_store::{BlobError, BlobKey, BlobStore};

/// What a reference begins with: neither well-formed CBOR nor UTF-8, nor what a seal begins with. A payload that begins so
/// goes outside whatever its size, so that none is taken for a reference.
const MARK: [u8; 4] = [0xf8, 0x00, b'b', 1];

/// A reference: the mark, the number of bytes, their digest.
const REFERENCE: usize = 4 + 8 + 8;

/// How many objects are asked for at once.
const AT_ONCE: usize = 16;

/// The object store, and what goes there.
#[derive(Clone)]
pub(crate) struct Outside {
    pub(crate) blobs: Arc<dyn BlobStore>,
    pub(crate) over: usize,
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outside").field("over", &self.over).finish_non_exhaustive()
    }
}

impl Outside {
    fn takes(&self, blob: &Blob) -> bool {
        blob.bytes.len() > self.over || blob.bytes.starts_with(&MARK)
    }

    /// Puts the large ones outside, and leaves references. Gives what was there. After an error all
    /// are as they were.
    pub(crate) async fn put(
        &self,
        mut large: Vec<(ExecutionId, &mut Blob)>,
    ) -> Result<Vec<(BlobId, Bytes)>, StoreError> {
        large.retain(|(_, blob)| self.takes(blob));
        let puts: Vec<_> = large
            .iter()
            .map(|(execution, blob)| (BlobKey { execution: *execution, blob: blob.id }, blob.bytes.clone()))
            .collect();
        let put = |(key, bytes)| async move {
            self.blobs.put(key, bytes).await.map_err(|error| unavailable("put", key, error))
        };
        stream::iter(puts).map(put).buffer_unordered(AT_ONCE).try_for_each(|()| async { Ok(()) }).await?;
        let kept = large.into_iter().map(|(_, blob)| {
            let reference = reference(&blob.bytes);
            (blob.id, std::mem::replace(&mut blob.bytes, reference))
        });
        Ok(kept.collect())
    }

    /// Puts what references stand for in their places.
    pub(crate) async fn get(
        &self,
        execution: ExecutionId,
        blobs: Vec<(BlobId, Bytes)>,
    ) -> Result<Vec<(BlobId, Bytes)>, StoreError> {
        let get = |(blob, bytes): (BlobId, Bytes)| async move {
            let Some((len, digest)) = read_reference(&bytes) else { return Ok((blob, bytes)) };
            let key = BlobKey { execution, blob };
            let found = self.blobs.get(key).await.map_err(|error| unavailable("read", key, error))?;
            let found = found.ok_or_else(|| lost(key, "is not there"))?;
            if found.len() as u64 != len {
                return Err(lost(key, &format!("has {} bytes, and had {len} when it was put there", found.len())));
            }
            if self::digest(&found) != digest {
                return Err(lost(key, "is not what was put there"));
            }
            Ok((blob, found))
        };
        stream::iter(blobs).map(get).buffered(AT_ONCE).try_collect().await
    }
}

/// Whether a row stands for an object.
pub(crate) fn is_reference(bytes: &[u8]) -> bool {
    read_reference(bytes).is_some()
}

fn reference(bytes: &[u8]) -> Bytes {
    let (len, digest) = ((bytes.len() as u64).to_be_bytes(), digest(bytes).to_be_bytes());
    Bytes::from([&MARK[..], &len, &digest].concat())
}

fn read_reference(bytes: &[u8]) -> Option<(u64, u64)> {
    let rest = bytes.strip_prefix(&MARK).filter(|_| bytes.len() == REFERENCE)?;
    let (len, digest) = rest.split_at(8);
    Some((u64::from_be_bytes(len.try_into().ok()?), u64::from_be_bytes(digest.try_into().ok()?)))
}

/// FNV-1a: it finds objects that were mixed up or cut, not those that somebody forged.
fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

pub(crate) fn unavailable(what: &str, key: impl fmt::Display, error: BlobError) -> StoreError {
    let message = format!("the object store cannot {what} {key} now: {error}");
    StoreError::new(ErrorKind::Unavailable, message).with_source(error)
}

fn lost(key: BlobKey, why: &str) -> StoreError {
    let message = format!(
        "the large payload {key} {why} in the object store: put it back, or give the process the object store that has it"
    );
    StoreError::new(ErrorKind::Invalid, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_read_and_nothing_else_is_taken_for_one() {
        let bytes = b"what is kept elsewhere";
        assert_eq!(read_reference(&reference(bytes)), Some((22, digest(bytes))));
        assert_eq!(reference(bytes).len(), REFERENCE);
        assert!(!is_reference(bytes));
        assert!(!is_reference(&MARK));
        assert!(!is_reference(&[&reference(bytes)[..], b"!"].concat()));
    }

    /// References are in databases: their bytes stay as they are.
    #[test]
    fn the_bytes_of_a_reference_stay_as_they_are() {
        assert_eq!(&reference(b"a")[..], b"\xf8\0b\x01\0\0\0\0\0\0\0\x01\xaf\x63\xdc\x4c\x86\x01\xec\x8c");
    }
}
