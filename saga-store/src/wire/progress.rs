//! How far an attempt says it is.

use minicbor::{Decode, Encode};

use super::op::OpId;
use super::payload::Payload;

/// What an attempt that had not ended said of how far it was: the next attempt is told.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Progressed {
    /// The step.
    #[n(0)]
    pub op: OpId,
    /// The attempt, from 1.
    #[n(1)]
    pub attempt: u32,
    /// How far it was.
    #[n(2)]
    pub progress: Payload,
    /// Whether it was an attempt of the step's undo.
    #[n(3)]
    pub undo: bool,
}
