//! A run before it is there, and when it has just been started.

use bytes::Bytes;
use saga_store::message::InboxMessage;
use saga_store::wire::Record;
use saga_store::{JournalRow, LoadedRun, MessageId, NewRun, RunState, RunView, Seq, Timestamp};

use super::seat::Seat;

/// A run as the store takes it.
#[derive(Clone)]
pub(super) struct Draft {
    pub(super) new: NewRun,
    /// Its first record, with all that is in it.
    pub(super) whole: Record,
    /// The store keeps a part of that record beside it.
    pub(super) large: bool,
}

/// A run that is to be started, and the place that this process's worker keeps for it.
pub(super) struct Order {
    pub(super) draft: Draft,
    pub(super) seat: Option<Seat>,
}

/// A run that was just started, as it is read: its first row has this body.
pub(crate) fn newborn(new: NewRun, now: Timestamp, body: Bytes) -> LoadedRun {
    let receive = |(position, (id, body)): (u64, (MessageId, Bytes))| InboxMessage { position, id, at: now, body };
    LoadedRun {
        journal: vec![JournalRow { seq: Seq::FIRST, nonce: new.nonce, more: false, body }],
        // What is in its inbox from the start.
        inbox: (1..).zip(new.messages).map(receive).collect(),
        view: RunView {
            id: new.id,
            execution: new.execution,
            workflow: new.workflow,
            version: new.version,
            lane: new.lane,
            priority: new.priority,
            state: RunState::Running,
            created_at: now,
            updated_at: now,
            attributes: new.attributes,
            memo: new.memo,
            status: None,
            conclusion: None,
        },
    }
}
