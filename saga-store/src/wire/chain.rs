//! What a run says when it starts another, or goes on in a fresh journal.

use minicbor::{Decode, Encode};

use super::child::Parent;
use super::errand::InSession;
use super::note::EventMessage;
use super::op::OpId;
use super::payload::Payload;
use crate::ids::ExecutionId;

/// What a workflow says of a run that it starts, beyond its input.
#[derive(Debug, Clone, PartialEq, Default, Encode, Decode)]
pub struct StartTerms {
    /// When it begins, if later than it is started: microseconds since 1970.
    #[n(0)]
    pub begin: Option<i64>,
    /// When it is cancelled if it has not ended: microseconds since 1970.
    #[n(1)]
    pub deadline: Option<i64>,
    /// Whether undoing goes on after an undo step that failed for good.
    #[n(2)]
    pub undo_continues: Option<bool>,
    /// Search attributes: name and value.
    #[n(3)]
    pub attributes: Option<Vec<(String, String)>>,
    /// What is noted beside it.
    #[n(4)]
    pub memo: Option<Payload>,
    /// The session that it is part of.
    #[n(5)]
    pub session: Option<InSession>,
}

/// The workflow is over, and its run goes on under the same id with a fresh journal.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Continued {
    /// The place in the code that says so.
    #[n(0)]
    pub op: OpId,
    /// The journal in which it goes on.
    #[cbor(n(1), with = "super::execution")]
    pub next: ExecutionId,
    /// The version of the workflow that goes on.
    #[n(2)]
    pub version: u32,
    /// Its input, one object keyed by parameter name.
    #[n(3)]
    pub input: Payload,
    /// What else the call says.
    #[n(4)]
    pub terms: Option<StartTerms>,
    /// Its lane, if the call names one: else it stays in that of its run.
    #[n(5)]
    pub lane: Option<String>,
    /// Its priority, if the call names one.
    #[n(6)]
    pub priority: Option<i16>,
}

impl Continued {
    /// Visits each payload.
    pub fn for_each_payload(&mut self, mut visit: impl FnMut(&mut Payload)) {
        visit(&mut self.input);
        self.terms.iter_mut().for_each(|terms| terms.memo.iter_mut().for_each(&mut visit));
    }
}

/// The order to start the next execution of a run. It is in outboxes only: its delivery is the
/// start. Whatever its inbox has that no commit of the finished execution has consumed goes with it.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct NextStart {
    /// What the finished execution's record says.
    #[n(0)]
    pub continued: Continued,
    /// The finished execution.
    #[cbor(n(1), with = "super::execution")]
    pub of: ExecutionId,
    /// The run's name.
    #[n(2)]
    pub id: String,
    /// The workflow's durable name.
    #[n(3)]
    pub workflow: String,
    /// What the next execution's random values derive from.
    #[n(4)]
    pub seed: u64,
    /// When the run is cancelled if it has not ended: microseconds since 1970.
    #[n(5)]
    pub deadline: Option<i64>,
    /// Whose child the run is.
    #[n(6)]
    pub parent: Option<Parent>,
    /// Events that were recorded, and that no operation has taken.
    #[n(7)]
    pub events: Vec<EventMessage>,
}
