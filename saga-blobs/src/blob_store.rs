//! What an object store has to do.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::str::FromStr;
use std::time::SystemTime;

use bytes::Bytes;
use saga_store::{BlobId, ExecutionId};

/// What went wrong in an object store. Any error counts as an outage: what was asked is asked again.
pub type BlobError = Box<dyn Error + Send + Sync>;

/// An answer of an object store, on its way.
pub type BlobFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, BlobError>> + Send + 'a>>;

/// Under which key an object is kept: `<execution>/<blob>`, two UUIDs. The objects of one execution
/// have a prefix in common, and keys are in the order in which runs were started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobKey {
    /// The execution whose journal refers to it.
    pub execution: ExecutionId,
    /// Its id, which no other object has.
    pub blob: BlobId,
}

impl fmt::Display for BlobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.execution, self.blob)
    }
}

impl FromStr for BlobKey {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        let (execution, blob) = text.split_once('/').unwrap_or((text, ""));
        Ok(Self { execution: ExecutionId::from_uuid(execution.parse()?), blob: BlobId::from_uuid(blob.parse()?) })
    }
}

/// An object that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: BlobKey,
    /// When it was put there last.
    pub put_at: SystemTime,
}

/// An object store: a bucket, a folder, a table elsewhere. Objects are put once, are never changed, and
/// are deleted by a sweep only.
///
/// ```
/// use std::collections::BTreeMap;
/// use std::sync::Mutex;
/// use std::time::SystemTime;
///
/// use bytes::Bytes;
/// use saga_blobs::{BlobFuture, BlobKey, BlobStore, Listed};
///
/// #[derive(Default)]
/// struct Shelf(Mutex<BTreeMap<BlobKey, Bytes>>);
///
/// impl BlobStore for Shelf {
///     fn put(&self, key: BlobKey, bytes: Bytes) -> BlobFuture<'_, ()> {
///         Box::pin(async move {
///             self.0.lock().unwrap().insert(key, bytes);
///             Ok(())
///         })
///     }
///
///     fn get(&self, key: BlobKey) -> BlobFuture<'_, Option<Bytes>> {
///         Box::pin(async move { Ok(self.0.lock().unwrap().get(&key).cloned()) })
///     }
///
///     fn delete(&self, key: BlobKey) -> BlobFuture<'_, ()> {
///         Box::pin(async move {
///             self.0.lock().unwrap().remove(&key);
///             Ok(())
///         })
///     }
///
///     fn list(&self, after: Option<BlobKey>, limit: usize) -> BlobFuture<'_, Vec<Listed>> {
///         Box::pin(async move {
///             let shelf = self.0.lock().unwrap();
///             let keys = shelf.keys().filter(|key| after.is_none_or(|after| **key > after));
///             Ok(keys.take(limit).map(|key| Listed { key: *key, put_at: SystemTime::now() }).collect())
///         })
///     }
/// }
/// ```
pub trait BlobStore: Send + Sync + 'static {
    /// Keeps an object. When this ends without an error the object is durable. May be asked again for
    /// the same key with the same bytes, also at the same time; the object then counts as put anew.
    fn put(&self, key: BlobKey, bytes: Bytes) -> BlobFuture<'_, ()>;

    /// The object, or `None` if there is none: only where that is sure, since it costs the run.
    fn get(&self, key: BlobKey) -> BlobFuture<'_, Option<Bytes>>;

    /// Deletes the object; one that is not there is no error.
    fn delete(&self, key: BlobKey) -> BlobFuture<'_, ()>;

    /// Up to `limit` objects with keys after this one, in ascending order. No more than are there: an
    /// empty answer is the end.
    fn list(&self, after: Option<BlobKey>, limit: usize) -> BlobFuture<'_, Vec<Listed>>;
}
