//! What stores keep of a record: rows, and blobs beside them.

use bytes::Bytes;

use crate::ids::{BlobId, Nonce, Seq};

/// A large payload, stored beside the journal in the same commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// What the record calls it.
    pub id: BlobId,
    /// Its bytes.
    pub bytes: Bytes,
}

/// One row to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// A record's bytes, or a part of them.
    pub body: Bytes,
    /// Whether the record goes on in the next row.
    pub more: bool,
}

/// One row of a journal: a record, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRow {
    /// Its place.
    pub seq: Seq,
    /// Its writer's mark.
    pub nonce: Nonce,
    /// Whether the record goes on in the next row.
    pub more: bool,
    /// A record's bytes, or a part of them.
    pub body: Bytes,
}
