//! Commits without their steps.
//!
//! A step's code is not `Sync`, so that no statement can be under way while it is at hand.

use bytes::Bytes;
use saga_store::{
    Blob, ExecutionId, Incarnation, Message, MessageId, Nonce, Row, RunCommit, Seq, StateChange, Then, TxStep,
};

/// How much of a statement a commit needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A row and nothing else.
    Lean,
    /// A row and how the run ended.
    Close,
    /// Anything.
    Full,
}

/// A commit without its step; the fields are those of [`RunCommit`].
pub(crate) struct Plain {
    pub(crate) execution: ExecutionId,
    pub(crate) owner: Incarnation,
    pub(crate) seq: Seq,
    pub(crate) nonce: Nonce,
    pub(crate) rows: Vec<Row>,
    pub(crate) blobs: Vec<Blob>,
    pub(crate) inbox_seen: Option<u64>,
    pub(crate) outbox: Vec<Message>,
    pub(crate) sent: Vec<MessageId>,
    pub(crate) change: Option<StateChange>,
    pub(crate) status: Option<Bytes>,
    pub(crate) then: Then,
    /// For what kind of store its step is written, if it has one.
    pub(crate) step_kind: Option<&'static str>,
}

impl Plain {
    /// Takes a commit apart.
    pub(crate) fn take(commit: RunCommit) -> (Self, Option<TxStep>) {
        let RunCommit { execution, owner, seq, nonce, rows, blobs, inbox_seen, outbox, sent, change, status, then, tx } =
            commit;
        let step_kind = tx.as_ref().map(TxStep::store_kind);
        let plain = Self {
            execution,
            owner,
            seq,
            nonce,
            rows,
            blobs,
            inbox_seen,
            outbox,
            sent,
            change,
            status,
            then,
            step_kind,
        };
        (plain, tx)
    }

    /// The commit as it was, without its step.
    pub(crate) fn give_back(self) -> RunCommit {
        let Self { execution, owner, seq, nonce, rows, blobs, inbox_seen, outbox, sent, change, status, then, .. } =
            self;
        RunCommit {
            execution,
            owner,
            seq,
            nonce,
            rows,
            blobs,
            inbox_seen,
            outbox,
            sent,
            change,
            status,
            then,
            tx: None,
        }
    }

    /// What there is to write for it, if its run is settled.
    pub(crate) fn shape(&self) -> Shape {
        match (&self.rows[..], &self.change, &self.then) {
            ([row], None, Then::Keep) if !row.more && self.is_of_the_run_alone() => Shape::Lean,
            ([row], Some(_), Then::End) if !row.more && self.is_of_the_run_alone() => Shape::Close,
            _ => Shape::Full,
        }
    }

    /// Whether it is rows and nothing else.
    pub(crate) fn is_rows_alone(&self) -> bool {
        self.change.is_none() && self.then == Then::Keep && self.is_of_the_run_alone()
    }

    fn is_of_the_run_alone(&self) -> bool {
        self.blobs.is_empty()
            && self.inbox_seen.is_none()
            && self.outbox.is_empty()
            && self.sent.is_empty()
            && self.status.is_none()
    }

    /// About how many bytes it is for the server.
    pub(crate) fn size(&self) -> usize {
        let optional = |bytes: Option<&Bytes>| bytes.map_or(0, Bytes::len);
        let rows: usize = self.rows.iter().map(|row| row.body.len()).sum();
        let blobs: usize = self.blobs.iter().map(|blob| blob.bytes.len()).sum();
        let outbox: usize = self.outbox.iter().map(|message| message.body.len()).sum();
        let conclusion = optional(self.change.as_ref().and_then(|change| change.conclusion.as_ref()));
        rows + blobs + outbox + conclusion + optional(self.status.as_ref())
    }
}
