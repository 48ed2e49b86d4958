//! Objects that nothing refers to.

use std::time::SystemTime;

use saga_store::{BlobId, ExecutionId, Store, StoreError};

use crate::blob_store::Listed;
use crate::outside::{is_reference, unavailable};
use crate::split::SplitStore;

/// How many objects are looked at in one piece.
const PAGE: usize = 1_000;

/// What a sweep found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Objects that were deleted.
    pub deleted: u64,
    /// Objects that are referred to, or are too young to say.
    pub kept: u64,
}

impl<S: Store> SplitStore<S> {
    /// Deletes the objects that were put before this moment and that no row refers to: those of purged
    /// runs, and those whose commit never came, after a crash or since another worker had the run.
    ///
    /// An object is put moments before its commit. Name a moment that is long past, a day, so that no
    /// commit is under way that may still refer to one; and compare no clocks too finely: the moment is
    /// by the clock of the object store. Run it now and then, from any process; two at once do no
    /// harm. Costs a listing of all objects, and a read of the store for each execution that has some.
    ///
    /// # Errors
    ///
    /// If a store cannot be reached. What was deleted stays deleted, and the sweep can be repeated.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use saga_blobs::SplitStore;
    /// use saga_runtime::store::{Store, StoreError};
    ///
    /// async fn sweep_each_night<S: Store>(store: &SplitStore<S>) -> Result<(), StoreError> {
    ///     let swept = store.sweep(SystemTime::now() - Duration::from_secs(86_400)).await?;
    ///     println!("{} objects deleted, {} kept", swept.deleted, swept.kept);
    ///     Ok(())
    /// }
    /// ```
    pub async fn sweep(&self, before: SystemTime) -> Result<Swept, StoreError> {
        let (mut swept, mut after) = (Swept::default(), None);
        loop {
            let page = self
                .outside
                .blobs
                .list(after, PAGE)
                .await
                .map_err(|error| unavailable("list", "its objects", error))?;
            let Some(last) = page.last() else { return Ok(swept) };
            after = Some(last.key);
            for objects in page.chunk_by(|a, b| a.key.execution == b.key.execution) {
                self.sweep_execution(objects[0].key.execution, objects, before, &mut swept).await?;
            }
        }
    }

    async fn sweep_execution(
        &self,
        execution: ExecutionId,
        objects: &[Listed],
        before: SystemTime,
        swept: &mut Swept,
    ) -> Result<(), StoreError> {
        let old: Vec<BlobId> =
            objects.iter().filter(|object| object.put_at < before).map(|object| object.key.blob).collect();
        let rows = if old.is_empty() { Vec::new() } else { self.inner().blobs(execution, &old).await? };
        let used = |blob| rows.iter().any(|(id, bytes)| *id == blob && is_reference(bytes));
        for Listed { key, .. } in objects {
            if !old.contains(&key.blob) || used(key.blob) {
                swept.kept += 1;
                continue;
            }
            self.outside.blobs.delete(*key).await.map_err(|error| unavailable("delete", key, error))?;
            swept.deleted += 1;
        }
        Ok(())
    }
}
