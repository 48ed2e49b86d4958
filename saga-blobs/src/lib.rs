//! Large payloads in an object store, beside any store of the saga framework.
//!
//! Values over 64 KiB are kept beside the journal, in rows of their own. A [`SplitStore`] puts
//! them into a [`BlobStore`] instead (a bucket, a folder), before what refers to them is
//! committed, and leaves a small reference in the row. Journals, backups and replicas of the
//! database stay small.
//!
//! ```
//! use saga_blobs::{Directory, SplitStore};
//! use saga_runtime::MemoryStore;
//!
//! # fn main() -> std::io::Result<()> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path();
//! let store = SplitStore::new(MemoryStore::new(), Directory::open(path)?).over(1024 * 1024);
//! // let engine = Engine::builder(store).payload_limit(64 * 1024 * 1024).start().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What goes there
//!
//! Inputs, outputs, errors, results and events of the journal that are over 64 KiB and over the
//! size that [`SplitStore::over`] says. Events on their way, statuses and memos stay in the database, and
//! so do inputs of runs that are started within a user's own transaction, and outputs of steps within the
//! store's transaction. What was written without a `SplitStore`, or under another size, is read as well.
//! All workers and clients of one database need the same object store.
//!
//! # What a failure does
//!
//! - The object store cannot be reached: an error as if the database could not be. A commit is sent again
//!   until it works, together with the others of its group; a start is an error that can be repeated; a
//!   replay waits. A step in a transaction of its own does not: its large payload stays in the database.
//! - A crash between the object and the commit leaves an object that nothing refers to, never a reference
//!   without its object. [`SplitStore::sweep`] deletes such objects, and those of purged runs.
//! - An object is gone or altered: the error names it. A run that needs it is parked as dead with this
//!   reason, and goes on when the object is back and the run is repaired.
//!
//! # With encryption
//!
//! A `SealedStore` goes around: `SealedStore::new(SplitStore::new(…), seal)`. Then what is put outside
//! is sealed, and bound to its place.
//!
//! # The parts
//!
//! - [`blob_store`]: what an object store has to do.
//! - [`directory`]: a folder as one.
//! - [`split`]: the store around a store.

pub mod blob_store;
pub mod directory;
mod outside;
pub mod split;
mod sweep;

pub use blob_store::{BlobError, BlobFuture, BlobKey, BlobStore, Listed};
pub use directory::Directory;
pub use split::SplitStore;
pub use sweep::Swept;
