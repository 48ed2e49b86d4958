//! An undo without its type, and how it becomes data.

use saga_store::wire::{Payload, UndoStep};

use super::{Activity, ActivityDefinition, Overrides, RetryPolicy};
use crate::codec::{CodecError, Encoder};

/// An activity that can undo another: one without a `compensate = …` of its own, whose output does
/// not come `later`. Not implemented by hand.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot undo: it has an undo itself, or is `later`",
    label = "nobody would run the undo of an undo, or wait for one that ends later",
    note = "name an activity here that has neither `compensate` nor `later`"
)]
pub trait Undoes: Activity {}

/// An undo without its type: what `compensate = …` evaluates to.
#[derive(Debug, Clone)]
pub struct UndoCall {
    pub(crate) definition: &'static ActivityDefinition,
    pub(crate) input: Result<Payload, CodecError>,
    pub(crate) overrides: Overrides,
}

impl UndoCall {
    /// The undo as it is journalled.
    pub(crate) fn into_step(self, encoder: Encoder) -> Result<Box<UndoStep>, CodecError> {
        let input = self.input?;
        encoder.check(input.len(), self.definition.name)?;
        let options = &self.definition.options;
        let retry = self.overrides.retry.unwrap_or_else(|| RetryPolicy::from_options(options.retry, RetryPolicy::UNDO));
        Ok(Box::new(UndoStep {
            activity: self.definition.name.to_owned(),
            input,
            retry: retry.to_wire(),
            timeout: super::micros(self.overrides.timeout(options)),
        }))
    }
}
