//! How a workflow's body ends: with a value, an error, a reason to be dead, or to go on in another
//! execution.

use saga_store::Target;
use saga_store::message::MessageBody;
use saga_store::wire::{Conclusion, Entry, EventMessage, NextStart, OpId, Payload, UndoCause};

use super::Machine;
use crate::context::Decision;
use crate::derive;
use crate::workflow::BodyEnd;

/// How the workflow's body ended.
pub(super) enum Ending {
    Completed(Payload),
    Failed {
        error: Payload,
        message: String,
    },
    Dead(String),
    /// Its run goes on, as the record says that it decided.
    Continued,
}

impl Machine {
    pub(super) fn stop_dead(&mut self, reason: String) {
        self.drop_body();
        self.ended_by_body(Ending::Dead(reason));
    }

    pub(super) fn body_ended(&mut self, end: BodyEnd) {
        self.drop_body();
        self.ended_by_body(match end {
            BodyEnd::Returned(output) => Ending::Completed(output),
            BodyEnd::Failed { error, message } => Ending::Failed { error, message },
            BodyEnd::Unrecordable(reason) => Ending::Dead(reason),
        });
    }

    /// The workflow is over, and its run goes on in another execution.
    pub(super) fn body_continues(&mut self) {
        if let Some(context) = &mut self.context {
            self.left_over = context.take_early_events();
        }
        self.drop_body();
        self.ended_by_body(Ending::Continued);
    }

    /// Why a workflow cannot go on in another execution: steps of this one are under way. What it has
    /// decided is then as if it had not said so.
    pub(super) fn refuse_to_continue(&self, continues: bool, decisions: &mut Vec<Decision>) -> Option<String> {
        if !continues {
            return None;
        }
        let dropped: Vec<&OpId> = decisions
            .iter()
            .filter_map(|decision| if let Entry::Dropped(scope) = &decision.entry { Some(scope) } else { None })
            .collect();
        let scheduled = decisions.iter().filter_map(|decision| match &decision.entry {
            Entry::StepScheduled(step) => Some(&step.op),
            _ => None,
        });
        let mut open = self.steps.iter().filter(|(_, step)| !step.is_orphan()).map(|(op, _)| op).chain(scheduled);
        let beside = open.find(|op| !dropped.iter().any(|scope| op.is_within(scope)))?.clone();
        decisions.retain(|decision| !matches!(decision.entry, Entry::Continued(_)));
        Some(format!(
            "`continue_as_new` was awaited while step {beside} was under way, whose end nobody would see; await it first"
        ))
    }

    /// An event came: to the workflow, or, if that is over, to the execution in which its run goes on.
    pub(super) fn take_event(&mut self, event: EventMessage) {
        match &mut self.context {
            Some(context) => context.receive_event(&event.name, event.value),
            None if self.next.is_some() => self.left_over.push(event),
            None => {}
        }
        self.poll_body();
    }

    fn ended_by_body(&mut self, ending: Ending) {
        if self.unconfirmed.is_some() {
            self.replayed_ending = Some(Box::new(ending));
            return;
        }
        self.apply_ending(ending);
    }

    pub(super) fn apply_ending(&mut self, ending: Ending) {
        match ending {
            Ending::Completed(_) | Ending::Continued => {
                self.end_children(&OpId::root());
                // A suspended run is taken up as it was left: it ends when it is resumed.
                if self.has_orphans() || self.control.suspended {
                    self.closing = Some(Box::new(ending));
                } else if let Ending::Completed(output) = ending {
                    self.conclude(Conclusion::Completed(output));
                } else {
                    self.go_on_in_next();
                }
            }
            Ending::Failed { error, message } => self.begin_undo(UndoCause::Failed { error, message }),
            Ending::Dead(reason) => {
                let reason = format!("{reason} (workflow `{}`, run {})", self.identity.workflow, self.identity.id);
                self.conclude(Conclusion::Dead { reason });
            }
        }
    }

    /// Ends this execution; the order to start the next one is part of the record.
    fn go_on_in_next(&mut self) {
        let Some(continued) = self.next.take() else { return };
        let (next, op) = (continued.next, continued.op.clone());
        let start = NextStart {
            continued: *continued,
            of: self.identity.execution,
            id: self.identity.id.as_str().to_owned(),
            workflow: self.identity.workflow.to_string(),
            seed: derive::seed(self.identity.execution, &op),
            deadline: self.control.deadline,
            parent: self.parent.as_deref().cloned(),
            events: std::mem::take(&mut self.left_over),
        };
        self.post(&op, "next", Target::Execution(next), &MessageBody::StartNext(start));
        self.conclude(Conclusion::Continued { next });
    }
}
