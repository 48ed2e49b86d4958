//! What the store keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use saga_store::{
    BlobId, BuildId, ExecutionId, InboxMessage, Incarnation, JournalRow, Message, MessageId, RunId, RunView, Timestamp,
};

/// Everything.
#[derive(Default)]
pub(super) struct State {
    pub(super) members: BTreeMap<Incarnation, Member>,
    pub(super) runs: BTreeMap<ExecutionId, Run>,
    /// The executions of each run, the newest last.
    pub(super) chains: BTreeMap<RunId, Vec<ExecutionId>>,
    /// Runs that nobody owns and that have not ended. Kept by [`State::place`].
    pub(super) free: BTreeSet<ExecutionId>,
    /// Runs by their owner. Kept by [`State::place`].
    pub(super) owned: BTreeMap<Incarnation, BTreeSet<ExecutionId>>,
    /// Where each message went, for as long as that execution is kept.
    pub(super) delivered: BTreeMap<MessageId, ExecutionId>,
    /// Messages on their way, in the order of their commits.
    pub(super) outbox: BTreeMap<u64, Sent>,
    /// The number of the next message in `outbox`.
    pub(super) next_sent: u64,
    /// The lane that was served last.
    pub(super) last_lane: Option<String>,
    /// The moment of the last claim: what was due by then has been offered.
    pub(super) offered: Option<Timestamp>,
}

/// A worker.
pub(super) struct Member {
    pub(super) beats: u64,
    pub(super) build: BuildId,
    pub(super) lease: Duration,
    /// Its runs can be adopted; it is kept until none is left, so that every observer sees it.
    pub(super) dead: bool,
}

/// A message that a run has sent.
pub(super) struct Sent {
    pub(super) execution: ExecutionId,
    /// The worker that sees to its delivery.
    pub(super) sender: Incarnation,
    pub(super) message: Message,
}

/// One execution.
pub(super) struct Run {
    pub(super) view: RunView,
    pub(super) input_digest: u64,
    pub(super) journal: Vec<JournalRow>,
    pub(super) blobs: BTreeMap<BlobId, Bytes>,
    /// Messages that no commit has consumed.
    pub(super) inbox: Vec<InboxMessage>,
    /// The last position that was given to a message.
    pub(super) last_position: u64,
    pub(super) hold: Hold,
    /// Whether the owner before did not release it.
    pub(super) taken_over: bool,
    /// Whether the next commit is the claim record of a takeover, which is no progress.
    pub(super) claim_record_due: bool,
    pub(super) deaths: u32,
    pub(super) refused_by: BTreeSet<BuildId>,
    pub(super) ended_at: Option<Timestamp>,
}

/// Where a run stands with the workers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// Nobody owns it. It is due at this moment, or when a message comes.
    Free(Option<Timestamp>),
    /// This worker drives it.
    Owned(Incarnation),
    /// It has ended.
    Ended,
}

impl Run {
    /// Since when it could be claimed, if it can.
    pub(super) fn due_since(&self, now: Timestamp) -> Option<Timestamp> {
        let Hold::Free(at) = self.hold else { return None };
        let message = self.inbox.first().map(|message| message.at);
        at.into_iter().filter(|at| *at <= now).chain(message).min()
    }

    /// Puts a message into the inbox.
    pub(super) fn receive(&mut self, id: MessageId, body: Bytes, at: Timestamp) {
        self.last_position += 1;
        self.inbox.push(InboxMessage { position: self.last_position, id, at, body });
    }
}

impl State {
    /// The newest execution of a run.
    pub(super) fn newest(&self, id: &RunId) -> Option<&Run> {
        self.runs.get(self.chains.get(id)?.last()?)
    }

    /// The one place that changes who holds a run, so that the indexes cannot disagree.
    pub(super) fn place(&mut self, execution: ExecutionId, hold: Hold) {
        let Some(run) = self.runs.get_mut(&execution) else { return };
        match std::mem::replace(&mut run.hold, hold) {
            Hold::Free(_) => {
                self.free.remove(&execution);
            }
            Hold::Owned(owner) => {
                if let Some(runs) = self.owned.get_mut(&owner) {
                    runs.remove(&execution);
                    if runs.is_empty() {
                        self.owned.remove(&owner);
                    }
                }
            }
            Hold::Ended => {}
        }
        match hold {
            Hold::Free(_) => {
                self.free.insert(execution);
            }
            Hold::Owned(owner) => {
                self.owned.entry(owner).or_default().insert(execution);
            }
            Hold::Ended => {}
        }
    }

    /// Deletes an execution with all that is its own.
    pub(super) fn forget(&mut self, execution: ExecutionId) {
        self.place(execution, Hold::Ended);
        let Some(run) = self.runs.remove(&execution) else { return };
        self.delivered.retain(|_, at| *at != execution);
        self.outbox.retain(|_, sent| sent.execution != execution);
        if let Some(chain) = self.chains.get_mut(&run.view.id) {
            chain.retain(|other| *other != execution);
            if chain.is_empty() {
                self.chains.remove(&run.view.id);
            }
        }
    }

    /// Forgets dead workers of whom nothing is left to take over.
    pub(super) fn bury(&mut self) {
        let (owned, outbox) = (&self.owned, &self.outbox);
        self.members.retain(|incarnation, member| {
            !member.dead || owned.contains_key(incarnation) || outbox.values().any(|sent| sent.sender == *incarnation)
        });
    }
}
