//! A driver's commits: how a turn becomes one, and how its answer is waited for.

use std::sync::Arc;

use bytes::Bytes;
use saga_store::wire::{Conclusion, Entry, Payload, Record, encode, split_rows};
use saga_store::{Blob, CommitOutcome, Message, RunCommit, RunState, StateChange, Then, Timestamp};
use tokio::sync::oneshot;

use super::driver::{Driver, Parting};
use crate::erased::BoxFuture;
use crate::externalize::{externalize, externalize_payload};
use crate::machine::{Change, Turn};

/// How the commit of a turn begins.
enum Begin<'a> {
    /// With the attempt that the turn schedules, in one transaction with it.
    Transaction(BoxFuture<'a, Option<Parting>>),
    /// It is on its way.
    HandedIn(HandedIn),
}

/// A commit that is on its way.
struct HandedIn {
    answer: oneshot::Receiver<CommitOutcome>,
    rows: u64,
    outbox: Vec<Message>,
    ended: Option<Arc<Conclusion>>,
    leaving: bool,
}

impl Driver {
    /// Commits the machine's turn; an answer ends the driver's work.
    pub(super) async fn commit(&mut self, stopping: bool) -> Option<Parting> {
        let HandedIn { answer, rows, outbox, ended, leaving } = match self.begin_commit(stopping) {
            Begin::Transaction(committing) => return committing.await,
            Begin::HandedIn(handed_in) => handed_in,
        };
        let outcome = self.answer(answer).await;
        if matches!(outcome, Some(CommitOutcome::Applied(_))) {
            self.shared.post.send(outbox);
        }
        self.acknowledged(outcome, rows, ended, leaving)
    }

    /// Takes the machine's turn and hands in its commit. Not within the future, which would keep
    /// room for both.
    fn begin_commit(&mut self, stopping: bool) -> Begin<'_> {
        let clock = &self.shared.clock;
        let turn = self.machine.take_turn(|| clock.now());
        if turn.change.is_none()
            && turn.outbox.is_empty()
            && !stopping
            && self.machine.is_transaction_next()
            && self.membership.holds_lease(clock.elapsed())
            && let Some(start) = self.machine.dispatch_transaction()
        {
            return Begin::Transaction(if start.definition.runs_in_commit() {
                Box::pin(self.commit_transaction(Some(turn), start))
            } else {
                self.hold(turn, start)
            });
        }
        let stays = matches!(turn.change, Some(Change::Undoing | Change::Resumed | Change::Ended));
        let leaving = !stays && self.may_leave(turn.at);
        let (commit, ended) = self.prepare(turn, leaving);
        let (rows, outbox) = (commit.rows.len() as u64, commit.outbox.clone());
        Begin::HandedIn(HandedIn { answer: self.shared.committer.submit(commit), rows, outbox, ended, leaving })
    }

    /// Makes the commit of a turn.
    pub(super) fn prepare(&mut self, turn: Turn, leaving: bool) -> (RunCommit, Option<Arc<Conclusion>>) {
        let Turn { at, mut entries, change, status, outbox } = turn;
        let ended = match (&change, entries.last()) {
            (Some(Change::Ended), Some(Entry::Concluded(conclusion))) => Some(Arc::new(conclusion.clone())),
            _ => None,
        };
        let mut blobs = externalize(&mut entries, &self.shared.entropy, at);
        let status = self.status(status, at, &mut blobs);
        let change = self.state_change(change.as_ref(), entries.last(), leaving);
        let then = if ended.is_some() {
            Then::End
        } else if leaving {
            Then::Release { wake_at: self.machine.next_due(), not_build: None }
        } else {
            Then::Keep
        };
        let record = Record::new(at, entries);
        let rows = split_rows(record.to_bytes());
        self.machine.recycle(record.entries);
        (RunCommit { rows, blobs, outbox, change, status, then, ..self.empty_commit() }, ended)
    }

    /// A status as the store keeps it.
    pub(super) fn status(&self, status: Option<Payload>, at: Timestamp, blobs: &mut Vec<Blob>) -> Option<Bytes> {
        let mut status = status?;
        blobs.extend(externalize_payload(&mut status, &self.shared.entropy, at));
        Some(encode(&status))
    }

    pub(super) fn empty_commit(&self) -> RunCommit {
        RunCommit {
            inbox_seen: (self.inbox_seen > self.inbox_consumed).then_some(self.inbox_seen),
            ..RunCommit::empty(self.execution, self.membership.incarnation(), self.next, self.shared.entropy.nonce())
        }
    }

    /// What lists and clients shall see. A turn that changes nothing costs nothing.
    fn state_change(&mut self, change: Option<&Change>, last: Option<&Entry>, leaving: bool) -> Option<StateChange> {
        let state = |state| Some(StateChange { state, conclusion: None });
        match (change, last) {
            (Some(Change::Ended), Some(Entry::Concluded(conclusion))) => Some(StateChange {
                state: RunState::of(conclusion),
                conclusion: Some(saga_store::wire::encode(conclusion)),
            }),
            (Some(Change::Suspended), _) => state(RunState::Suspended),
            (Some(Change::Resumed), _) if !self.machine.is_undoing() => {
                self.waiting = false;
                state(RunState::Running)
            }
            (Some(_), _) => state(RunState::Undoing),
            (None, _) if self.machine.is_suspended() => None,
            (None, _) if leaving && !self.machine.is_undoing() => {
                self.waiting = true;
                state(RunState::Waiting)
            }
            (None, _) if std::mem::take(&mut self.waiting) => {
                state(if self.machine.is_undoing() { RunState::Undoing } else { RunState::Running })
            }
            (None, _) => None,
        }
    }

    /// Hands in a commit and waits for its answer.
    pub(super) fn submit(&mut self, commit: RunCommit) -> impl Future<Output = Option<CommitOutcome>> + Send + '_ {
        let answer = self.shared.committer.submit(commit);
        self.answer(answer)
    }

    /// Waits for the answer to a commit; attempts go on meanwhile. No answer comes when the engine is
    /// gone, and none is waited for when the run is no longer this worker's: the fence refuses a
    /// commit that comes late.
    async fn answer(&mut self, mut answer: oneshot::Receiver<CommitOutcome>) -> Option<CommitOutcome> {
        let mut raised = false;
        let answered = loop {
            tokio::select! {
                biased;
                answered = &mut answer => break answered.ok(),
                done = self.attempts.next() => self.arrived.push(done),
                () = self.mailbox.raised() => {
                    raised = true;
                    if self.membership.is_over() {
                        break None;
                    }
                }
            }
        };
        if raised {
            self.mailbox.wake();
        }
        answered
    }
}
