//! Who makes attempts: a service of any type, or what stands for it.

use super::Attempt;
use crate::activity::AttemptEnd;
use crate::erased::BoxFuture;

/// Any service for attempts, as one type.
pub(super) trait Attempting: Send + Sync {
    fn attempt(&self, attempt: Attempt) -> BoxFuture<'static, AttemptEnd>;

    /// The same for who catches the panics of the code that the future runs.
    fn attempt_bare(&self, attempt: Attempt) -> BoxFuture<'static, AttemptEnd> {
        self.attempt(attempt)
    }

    /// The same for the outermost: a panic on the way is a failure of the attempt, as one of its code is.
    fn attempt_caught(&self, attempt: Attempt) -> BoxFuture<'static, AttemptEnd>;
}
