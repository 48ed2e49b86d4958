//! Events: typed values that a run waits for and others send.

use saga_store::wire::Payload;

use crate::__private::Recorded;
use crate::codec::{self, CodecError};

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

/// An event as engines and clients see it that do not have its type. Registered at link time.
#[doc(hidden)]
pub struct RegisteredEvent {
    pub(crate) name: &'static str,
    check: fn(&Payload) -> Result<(), CodecError>,
}

inventory::collect!(RegisteredEvent);

impl RegisteredEvent {
    /// The registration of an event.
    pub const fn of<E: Event>() -> Self {
        Self { name: E::NAME, check: check::<E> }
    }
}

fn check<E: Event>(value: &Payload) -> Result<(), CodecError> {
    codec::decode::<E>(value).map(drop)
}

/// Why no event type of this name that is linked into this program can read the value; `None` if
/// one can, or if there is none of this name.
pub(crate) fn unreadable(name: &str, value: &Payload) -> Option<CodecError> {
    let mut found = None;
    for event in inventory::iter::<RegisteredEvent>.into_iter().filter(|event| event.name == name) {
        match (event.check)(value) {
            Ok(()) => return None,
            Err(error) => found = Some(error),
        }
    }
    found
}
