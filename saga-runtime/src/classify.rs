//! How an activity's error is classed: retried or not, with effect or without.

use std::time::Duration;

/// What an error says about its attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Never retried, and nothing happened: the step needs no undo because of this attempt.
    Permanent,
    /// Retried by the policy.
    Transient {
        /// Whether nothing can have happened. If it may have, the step counts as having had an
        /// unknown outcome and is undone when the run fails.
        no_effect: bool,
        /// How long to wait before the next attempt, in place of the policy's delay.
        retry_after: Option<Duration>,
    },
}

impl Class {
    /// Retried by the policy; something may have happened. What an unmarked variant is.
    pub const TRANSIENT: Self = Self::Transient { no_effect: false, retry_after: None };

    /// Whether the attempt may have had an effect.
    pub const fn may_have_effect(self) -> bool {
        matches!(self, Self::Transient { no_effect: false, .. })
    }
}

/// Says of each error value how it is classed, so that nobody retries a declined card by
/// accident. Derive it: `#[derive(Classify)]` with `#[permanent]`, `#[transient]`,
/// `#[transient(no_effect)]` or `#[transient(retry_after = field)]` on the variants (an unmarked
/// one is transient).
///
/// ```
/// use saga_runtime::prelude::*;
/// use saga_runtime::Class;
/// # use serde::{Deserialize, Serialize};
/// #[derive(Debug, thiserror::Error, Serialize, Deserialize, Classify)]
/// enum PaymentError {
///     #[error("card declined")]
///     #[permanent]
///     Declined,
///     #[error("gateway unavailable")]
///     Unavailable,
/// }
/// assert_eq!(PaymentError::Declined.class(), Class::Permanent);
/// assert_eq!(PaymentError::Unavailable.class(), Class::TRANSIENT);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is the error of an activity but does not say how it is classed",
    label = "which of its values may be retried?",
    note = "add `#[derive(Classify)]` and mark its variants `#[permanent]` or `#[transient]`"
)]
pub trait Classify {
    /// Whether any value is [`Class::Permanent`].
    const CAN_BE_PERMANENT: bool = true;

    /// How this value is classed.
    fn class(&self) -> Class;
}

/// An activity that cannot fail.
impl Classify for std::convert::Infallible {
    const CAN_BE_PERMANENT: bool = false;

    fn class(&self) -> Class {
        match *self {}
    }
}
