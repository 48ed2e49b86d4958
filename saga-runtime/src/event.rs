//! Events: typed values that a run waits for and others send.

use crate::__private::Recorded;

/// A type that can be sent to a run and awaited in a workflow. Derive it: `#[derive(Event)]`,
/// with `#[event(name = "…")]` for a durable name other than the type's.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event",
    label = "not an event",
    note = "add `#[derive(Event)]` to `{Self}`"
)]
pub trait Event: Recorded {
    /// The durable name.
    const NAME: &'static str;
}
