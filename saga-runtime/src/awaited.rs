//! Which events a workflow awaits, as far as its plan shows: what it surely never awaits is not
//! sent to it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::draw::{Meaning, meanings};
use crate::event::{Event, RegisteredEvent};
use crate::plan::{Node, Plan, Step, StepKind, for_each};
use crate::registry::Registry;
use crate::workflow::Workflow;

/// Whether runs of this workflow may await this event. Only a plan that shows all that it awaits
/// says no, and only if those of the workflow's other versions, which old runs go by, say so too.
pub(crate) fn may_await<W: Workflow, E: Event>() -> bool {
    static KNOWN: Mutex<BTreeMap<(&str, &str), bool>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    *known.entry((W::NAME, E::NAME)).or_insert_with(|| Search::new::<W>(&Registry::linked(), E::NAME).finds())
}

struct Search<'a> {
    registry: &'a Registry,
    event: &'static str,
    /// The plans that are looked at, and how many of them are done.
    plans: Vec<&'static Plan>,
    done: usize,
}

impl<'a> Search<'a> {
    fn new<W: Workflow>(registry: &'a Registry, event: &'static str) -> Self {
        let mut search = Self { registry, event, plans: vec![W::PLAN], done: 0 };
        search.versions_of(W::NAME);
        search
    }

    fn finds(mut self) -> bool {
        while let Some(plan) = self.plans.get(self.done).copied() {
            self.done += 1;
            let mut found = false;
            for_each(plan.nodes, &mut |node| {
                if let Node::Step(step) = node {
                    found |= self.may_be(step, plan);
                }
            });
            if found {
                return true;
            }
        }
        false
    }

    fn add(&mut self, plan: &'static Plan) {
        if !self.plans.contains(&plan) {
            self.plans.push(plan);
        }
    }

    fn versions_of(&mut self, workflow: &str) {
        let all: Vec<_> = self.registry.workflows().filter(|(name, _)| *name == workflow).collect();
        for (_, version) in all {
            self.add(version.plan);
        }
    }

    /// Whether this step may await the event. What it leads to is looked at later.
    fn may_be(&mut self, step: &Step, plan: &Plan) -> bool {
        match step.kind {
            StepKind::Event => {
                let mut named = RegisteredEvent::all_called(step.target, plan.module).peekable();
                named.peek().is_none() || named.any(|event| event.name == self.event)
            }
            StepKind::Timer | StepKind::Value | StepKind::Pivot | StepKind::Spawn => false,
            StepKind::Other => true,
            // The run goes on as this, with the events that it has not taken.
            StepKind::Again => {
                let mut is_known = false;
                for meaning in meanings(step.target, plan.module, self.registry) {
                    if let Meaning::Workflow(next) = meaning {
                        self.versions_of(next.name);
                        is_known = true;
                    }
                }
                !is_known
            }
            StepKind::Call => {
                let meanings = meanings(step.target, plan.module, self.registry);
                let is_known = !meanings.is_empty() || step.target.rsplit("::").next() == Some("send");
                for meaning in meanings {
                    if let Meaning::Helper(helper) = meaning {
                        self.add(helper);
                    }
                }
                !is_known
            }
        }
    }
}
