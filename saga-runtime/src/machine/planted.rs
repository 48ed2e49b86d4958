//! Bugs that a simulation plants in the machine, to see that it finds them. Without the feature
//! `test` there are none; with it, only where a simulation has asked for one, on its own thread.

#[cfg(feature = "test")]
use std::cell::Cell;

/// A promise of the machine that is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Planted {
    /// Steps are undone in the order in which they were made.
    UndoOrderReversed,
    /// An attempt that needs no record begins after a claim that a crash can undo.
    ClaimTrusted,
}

#[cfg(feature = "test")]
thread_local! {
    static PLANTED: Cell<Option<Planted>> = const { Cell::new(None) };
}

/// Plants a bug in all machines of this thread, or takes it away.
#[cfg(feature = "test")]
pub(crate) fn plant(bug: Option<Planted>) {
    PLANTED.set(bug);
}

/// Whether this bug is planted.
pub(super) fn is_planted(bug: Planted) -> bool {
    #[cfg(feature = "test")]
    return PLANTED.get() == Some(bug);
    #[cfg(not(feature = "test"))]
    {
        let _ = bug;
        false
    }
}
