//! Events: typed values that a run waits for and others send.

use std::fmt;

use saga_store::wire::Payload;
use serde::{Deserialize, Serialize};

use crate::__private::Recorded;
use crate::codec::{self, CodecError};
use crate::place::means;
use crate::shape::Described;

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

/// Why an event was not sent.
///
/// Serializable, so that a workflow's error can hold it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SendError {
    /// The text cannot name a run: says why.
    Id(String),
    /// The event cannot be recorded: says why.
    Event(String),
    /// No run has this id.
    NoRun(String),
    /// The run of this id has ended: nobody will read the event.
    HasEnded(String),
    /// The store failed, and it is not known whether the event was sent: says how. To send it again
    /// does no harm.
    Store(String),
    /// An attempt within a transaction sends nothing.
    InTransaction,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(why) => f.write_str(why),
            Self::Event(why) => write!(f, "the event cannot be recorded: {why}"),
            Self::NoRun(id) => write!(f, "no run has the id {id}"),
            Self::HasEnded(id) => write!(f, "run {id} has ended"),
            Self::Store(why) => write!(f, "whether the event was sent is not known: {why}"),
            Self::InTransaction => f.write_str(
                "a transactional activity sends no events, since its writes may still be taken back: let the workflow `send(…)` it when the step has ended",
            ),
        }
    }
}

impl std::error::Error for SendError {}

/// An event as engines and clients see it that do not have its type. Registered at link time.
#[doc(hidden)]
pub struct RegisteredEvent {
    pub(crate) name: &'static str,
    type_name: fn() -> &'static str,
    pub(crate) describe: fn() -> Described,
    check: fn(&Payload) -> Result<(), CodecError>,
}

inventory::collect!(RegisteredEvent);

impl RegisteredEvent {
    /// The registration of an event.
    pub const fn of<E: Event>() -> Self {
        Self { name: E::NAME, type_name: std::any::type_name::<E>, describe: Described::of::<E>, check: check::<E> }
    }

    /// How well it fits a path in this module.
    fn score(&self, path: &str, module: &str) -> u8 {
        let name = (self.type_name)();
        let (place, name) = name.rsplit_once("::").unwrap_or(("", name));
        means(path, module, place, name)
    }

    /// Those that a path in this module may name, of all that are linked.
    pub(crate) fn all_called(path: &str, module: &str) -> impl Iterator<Item = &'static Self> {
        inventory::iter::<Self>.into_iter().filter(move |event| event.score(path, module) > 0)
    }

    /// The one that fits such a path best.
    pub(crate) fn called(path: &str, module: &str) -> Option<&'static Self> {
        Self::all_called(path, module).max_by_key(|event| event.score(path, module))
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
