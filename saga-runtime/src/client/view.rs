//! What clients see of a run, decoded.

use saga_store::RunView;
use saga_store::wire::{Payload, decode};

use super::ClientError;
use crate::erased::AnyStore;
use crate::externalize::internalize_payload;

/// What a workflow last said of itself.
pub(super) async fn status(store: &dyn AnyStore, view: &RunView) -> Result<Option<Payload>, ClientError> {
    let Some(bytes) = &view.status else { return Ok(None) };
    let unreadable = |why: String| ClientError::Unreadable { id: view.id.clone(), why };
    let mut status: Payload = decode(bytes).map_err(|error| unreadable(error.to_string()))?;
    internalize_payload(store, view.execution, &mut status).await?;
    Ok(Some(status))
}
