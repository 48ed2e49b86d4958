//! What is done to a run, and where.

use std::fmt;

/// One disturbance. Commits and attempts are counted from 0, through crashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// The engine dies as it hands a commit to the store.
    CrashBeforeCommit(usize),
    /// The engine dies when the commit is durable, before it hears so.
    CrashAfterCommit(usize),
    /// The engine dies as an attempt is about to begin.
    CrashBeforeAttempt(usize),
    /// The engine dies when the attempt's code has ended, before it hears so.
    CrashAfterAttempt(usize),
    /// An attempt's code runs twice with one key, as it does when the first answer is lost.
    Twice(usize),
    /// The run is cancelled as soon as a commit is durable.
    CancelAfterCommit(usize),
    /// A step fails.
    Fail { key: String, activity: &'static str, how: How },
}

/// How a step fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// Its code does not run; a permanent error.
    Refused,
    /// Its code does not run, at any attempt; a transient error that says so.
    NeverTried,
    /// Its code runs, and the first answer is lost.
    LostOnce,
    /// Its code runs at each attempt, and each answer is lost.
    LostAlways,
    /// The first attempt panics.
    Panics,
    /// The first attempt never ends.
    Hangs,
}

impl How {
    pub(super) const ALL: [Self; 6] =
        [Self::Refused, Self::NeverTried, Self::LostOnce, Self::LostAlways, Self::Panics, Self::Hangs];
    /// What an undo survives.
    pub(super) const PASSING: [Self; 3] = [Self::LostOnce, Self::Panics, Self::Hangs];
}

impl Fault {
    pub(super) fn is_crash(&self) -> bool {
        matches!(
            self,
            Self::CrashBeforeCommit(_)
                | Self::CrashAfterCommit(_)
                | Self::CrashBeforeAttempt(_)
                | Self::CrashAfterAttempt(_)
        )
    }

    /// The commit around which it happens.
    pub(super) fn commit(&self) -> Option<usize> {
        match self {
            Self::CrashBeforeCommit(number) | Self::CrashAfterCommit(number) | Self::CancelAfterCommit(number) => {
                Some(*number)
            }
            _ => None,
        }
    }

    /// Whether places are written down in words while it is looked what comes of this: so that
    /// more can be done at those places.
    pub(super) fn is_surveyed(&self) -> bool {
        !self.changes_nothing()
    }

    /// Whether the run must end exactly as it would have, with the same effects.
    pub(super) fn changes_nothing(&self) -> bool {
        self.is_crash() || matches!(self, Self::Twice(_))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CrashBeforeCommit(number) => write!(f, "crash before commit {number}"),
            Self::CrashAfterCommit(number) => write!(f, "crash after commit {number}"),
            Self::CrashBeforeAttempt(number) => write!(f, "crash before attempt {number}"),
            Self::CrashAfterAttempt(number) => write!(f, "crash after attempt {number}"),
            Self::Twice(number) => write!(f, "attempt {number} made twice"),
            Self::CancelAfterCommit(number) => write!(f, "cancel after commit {number}"),
            Self::Fail { key, activity, how } => {
                let step = key.split_once('/').map_or(key.as_str(), |(_, step)| step);
                let how = match how {
                    How::Refused => "fails for good, untried",
                    How::NeverTried => "fails again and again, untried",
                    How::LostOnce => "works, and its first answer is lost",
                    How::LostAlways => "works, and its answer is lost again and again",
                    How::Panics => "panics once",
                    How::Hangs => "hangs once",
                };
                write!(f, "step {step} `{activity}` {how}")
            }
        }
    }
}
