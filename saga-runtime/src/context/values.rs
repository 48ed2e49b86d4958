//! How what a workflow says is written, and what is too large for it.

use std::collections::BTreeSet;

use saga_store::wire::{Entry, OpId, OpValue};

use super::Context;
use crate::codec::{self, Encoder};

impl Context {
    /// How the run's values are written.
    pub(crate) fn encoder(&self) -> Encoder {
        self.encoder
    }

    /// The same for a decision at this place: what the journal has is not refused, whatever the limit
    /// is by now.
    pub(crate) fn encoder_at(&self, op: &OpId) -> Encoder {
        if self.large.contains(op) { self.encoder.without_limit() } else { self.encoder }
    }

    /// What the journal has with a value that might be over the limit.
    pub(crate) fn set_large(&mut self, large: BTreeSet<OpId>) {
        self.large = large;
    }

    /// What is decided at this place is too large: the message is recorded, since another worker may
    /// have another limit.
    pub(crate) fn refuse(&mut self, op: &OpId, message: &str) {
        self.note(Entry::Value(OpValue { op: op.clone(), value: codec::refusal(message) }));
    }

    /// The message, if the journal says that what is decided at this place was too large.
    pub(crate) fn refused(&mut self, op: &OpId) -> Option<String> {
        let message = codec::refused(self.recorded.get(op)?)?;
        self.recorded.remove(op);
        self.refuse(op, &message);
        Some(message)
    }
}
