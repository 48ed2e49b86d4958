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

/// Takes the commits of a call apart, and the steps of the few that bring one, by the index of their commit. The
/// room of the commits serves for what is left of them: they are many bytes.
pub(crate) fn take_apart(commits: Vec<RunCommit>) -> (Vec<Plain>, Vec<(usize, TxStep)>) {
    let mut steps = Vec::new();
    let take = |(at, commit)| {
        let (plain, step) = Plain::take(commit);
        steps.extend(step.map(|step| (at, step)));
        plain
    };
    let plain = commits.into_iter().enumerate().map(take).collect();
    (plain, steps)
}

/// The commits as they were.
pub(crate) fn put_together(plain: Vec<Plain>, steps: Vec<(usize, TxStep)>) -> Vec<RunCommit> {
    let mut steps = steps.into_iter().peekable();
    let give_back = |(at, plain): (usize, Plain)| {
        let step = steps.next_if(|(of, _)| *of == at);
        plain.give_back(step.map(|(_, step)| step))
    };
    plain.into_iter().enumerate().map(give_back).collect()
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

    /// The commit as it was.
    fn give_back(self, tx: Option<TxStep>) -> RunCommit {
        let Self { execution, owner, seq, nonce, rows, blobs, inbox_seen, outbox, sent, change, status, then, .. } =
            self;
        RunCommit { execution, owner, seq, nonce, rows, blobs, inbox_seen, outbox, sent, change, status, then, tx }
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

#[cfg(test)]
mod tests {
    use saga_store::{AsyncTxFn, TxEnd};

    use super::*;
    use crate::tx::PostgresTransactions;

    fn commit(number: u64, has_step: bool) -> RunCommit {
        let step = || {
            let keeps = AsyncTxFn(Box::new(|_| Box::pin(std::future::ready(TxEnd::Keep))));
            TxStep::awaiting::<PostgresTransactions>(keeps)
        };
        RunCommit {
            tx: has_step.then(step),
            ..RunCommit::empty(
                ExecutionId::from_bytes([7; 16]),
                Incarnation::from_bytes([7; 16]),
                Seq(number),
                Nonce(number),
            )
        }
    }

    #[test]
    fn commits_are_put_together_with_their_own_steps_and_in_their_order() {
        let has_step = |number: u64| number % 3 == 1;
        let commits: Vec<RunCommit> = (0..20).map(|number| commit(number, has_step(number))).collect();
        let room = commits.as_ptr().addr();
        let (plain, steps) = take_apart(commits);
        assert_eq!(plain.as_ptr().addr(), room, "they are taken apart where they are");
        assert!(plain.iter().all(|plain| plain.step_kind.is_some() == has_step(plain.seq.0)));
        let again = put_together(plain, steps);
        assert!((0..).zip(&again).all(|(number, commit)| commit.seq == Seq(number)));
        assert!(again.iter().all(|commit| commit.tx.is_some() == has_step(commit.seq.0)));
    }
}
