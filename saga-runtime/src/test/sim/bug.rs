//! Bugs that can be planted, to see that the simulation finds them.

/// A promise that is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A late owner's append goes in although its place is taken.
    FenceDropped,
    /// A run whose inbox has more than its worker has seen is released all the same.
    LostWakeUp,
    /// A commit is acknowledged and never written.
    AcknowledgedButLost,
    /// A commit is acknowledged before it is written: the next step begins too early.
    AcknowledgedEarly,
    /// A commit that got no answer is sent again under a new mark.
    NewMarkOnRepeat,
    /// A journal is read without its last record.
    StaleJournal,
    /// A run is released without the time of its timer.
    ForgottenTimer,
    /// The runs of a dead worker are taken over by nobody.
    NobodyAdopts,
    /// The lease is counted by a clock that stands while the worker does.
    LeaseStands,
    /// The end of a run is in its journal, and nowhere else.
    HalfCommit,
    /// Runs whose claim was not answered stay with a worker that does not know of them.
    NobodyReconciles,
    /// Steps are undone in the order in which they were made.
    UndoOrderReversed,
    /// What a select drops is a commit of its own, after that of the branch that won.
    SelectInTwoCommits,
    /// What a run sends is recorded, and never sent.
    OutboxForgotten,
    /// An attempt that needs no record begins after a claim that a crash can undo.
    ClaimTrusted,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::FenceDropped,
        Self::LostWakeUp,
        Self::AcknowledgedButLost,
        Self::AcknowledgedEarly,
        Self::NewMarkOnRepeat,
        Self::StaleJournal,
        Self::ForgottenTimer,
        Self::NobodyAdopts,
        Self::LeaseStands,
        Self::HalfCommit,
        Self::NobodyReconciles,
        Self::UndoOrderReversed,
        Self::SelectInTwoCommits,
        Self::OutboxForgotten,
        Self::ClaimTrusted,
    ];
}
