//! The storage contract of the saga framework.
//!
//! A store keeps journals; it never knows what a workflow is. It appends records where a
//! sequence number is free (that append is the whole of mutual exclusion), hands out runs that
//! are due, and carries messages between runs. Everything else is the engine's.
//!
//! - [`ids`]: names, positions and moments, each a type of its own.
//! - [`wire`]: the journal's records, as bytes that old and new builds can read.
//! - [`run`]: what is known of a run without reading its journal.
//! - [`commit`]: the one write of the hot path.
//! - [`message`]: what crosses from one run, or from a client, to another run.
//! - [`tx`]: steps whose business writes share the journal's transaction.
//! - [`open`]: transactions that wait for their record, and users' own.
//! - [`store`]: the trait.
//! - [`error`]: what can go wrong, sorted by what to do about it.
//! - [`forward!`]: for a store around a store, the verbs that it hands on as they are.

pub mod commit;
pub mod error;
mod forward;
pub mod ids;
pub mod message;
pub mod open;
pub mod run;
pub mod store;
pub mod tx;
pub mod wire;

#[cfg(feature = "conformance")]
pub mod conformance;

#[doc(hidden)]
pub use bytes::Bytes as __Bytes;
pub use commit::{Applied, CommitError, CommitOutcome, Gathering, RunCommit, StateChange, Then};
pub use error::{ErrorKind, StoreError};
pub use ids::{BlobId, BuildId, ExecutionId, Incarnation, MessageId, Nonce, RunId, RunIdError, Seq, Timestamp};
pub use message::{Delivery, InboxMessage, Message, MessageBody, Target};
pub use open::{OpenTx, StartTx, StartedInTx, Transacted, TxLimits, TxOutcome};
pub use run::{Claim, ClaimedRun, Filter, LoadedRun, NewRun, OnExisting, Page, Query, RunState, RunView, Started};
pub use store::{Beat, Differences, Hint, HintStream, Joined, NodeInfo, Peer, Purged, Store};
pub use tx::{
    AsyncCode, AsyncTransaction, AsyncTxFn, BlockingCode, BlockingTxFn, Transaction, TxEnd, TxFamily, TxFuture, TxStep,
    TxVerdict,
};
pub use wire::{Blob, JournalRow, Row};
