//! Large payloads: beside the journal on the way in, back in their places on the way out.

use std::collections::BTreeMap;

use bytes::Bytes;
use saga_store::wire::{Conclusion, Entry, INLINE_LIMIT, Payload, PayloadData, Record};
use saga_store::{Blob, BlobId, ExecutionId, StoreError, Timestamp};

use crate::entropy::Entropy;
use crate::erased::AnyStore;

/// Takes large payloads out of the entries.
pub(crate) fn externalize(entries: &mut [Entry], entropy: &Entropy, now: Timestamp) -> Vec<Blob> {
    let mut blobs = Vec::new();
    for entry in entries {
        entry.for_each_payload(|payload| blobs.extend(externalize_payload(payload, entropy, now)));
    }
    blobs
}

/// Takes a large payload out of its place.
pub(crate) fn externalize_payload(payload: &mut Payload, entropy: &Entropy, now: Timestamp) -> Option<Blob> {
    let PayloadData::Inline(bytes) = &payload.data else { return None };
    if bytes.len() <= INLINE_LIMIT {
        return None;
    }
    let blob = Blob { id: entropy.blob(now), bytes: bytes.clone() };
    payload.data = PayloadData::Blob { id: blob.id, len: bytes.len() as u64 };
    Some(blob)
}

/// Puts a payload that is kept beside the journal back in its place.
pub(crate) async fn internalize_payload(
    store: &dyn AnyStore,
    execution: ExecutionId,
    payload: &mut Payload,
) -> Result<(), StoreError> {
    let wanted: Vec<BlobId> = blob_of(payload).into_iter().collect();
    let found = fetch(store, execution, &wanted).await?;
    put_back(payload, &found);
    Ok(())
}

/// Fetches the payloads that records keep beside the journal and puts them in their places.
pub(crate) async fn internalize(
    store: &dyn AnyStore,
    execution: ExecutionId,
    records: &mut [Record],
) -> Result<(), StoreError> {
    let mut wanted = Vec::new();
    each_payload(records, |payload| wanted.extend(blob_of(payload)));
    let found = fetch(store, execution, &wanted).await?;
    each_payload(records, |payload| put_back(payload, &found));
    Ok(())
}

/// The same for a run's conclusion.
pub(crate) async fn internalize_conclusion(
    store: &dyn AnyStore,
    execution: ExecutionId,
    conclusion: &mut Conclusion,
) -> Result<(), StoreError> {
    let mut wanted = Vec::new();
    conclusion.for_each_payload(|payload| wanted.extend(blob_of(payload)));
    let found = fetch(store, execution, &wanted).await?;
    conclusion.for_each_payload(|payload| put_back(payload, &found));
    Ok(())
}

fn each_payload(records: &mut [Record], mut visit: impl FnMut(&mut Payload)) {
    for entry in records.iter_mut().flat_map(|record| &mut record.entries) {
        entry.for_each_payload(&mut visit);
    }
}

fn blob_of(payload: &Payload) -> Option<BlobId> {
    match payload.data {
        PayloadData::Blob { id, .. } => Some(id),
        PayloadData::Inline(_) => None,
    }
}

async fn fetch(
    store: &dyn AnyStore,
    execution: ExecutionId,
    wanted: &[BlobId],
) -> Result<BTreeMap<BlobId, Bytes>, StoreError> {
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    Ok(store.blobs(execution, wanted).await?.into_iter().collect())
}

fn put_back(payload: &mut Payload, found: &BTreeMap<BlobId, Bytes>) {
    if let Some(bytes) = blob_of(payload).and_then(|id| found.get(&id)) {
        payload.data = PayloadData::Inline(bytes.clone());
    }
}
