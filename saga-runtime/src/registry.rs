//! What the macros register at link time.

use std::collections::BTreeMap;

use crate::activity::{ActivityDefinition, Code};
use crate::workflow::WorkflowDefinition;

/// One activity, registered by `#[activity]`.
#[doc(hidden)]
pub struct RegisteredActivity(pub &'static ActivityDefinition);

/// One workflow, registered by `#[workflow]`.
#[doc(hidden)]
pub struct RegisteredWorkflow(pub &'static WorkflowDefinition);

inventory::collect!(RegisteredActivity);
inventory::collect!(RegisteredWorkflow);

/// All registered activities and workflows, by name.
pub(crate) struct Registry {
    activities: BTreeMap<&'static str, Vec<&'static ActivityDefinition>>,
    workflows: BTreeMap<(&'static str, u32), Vec<&'static WorkflowDefinition>>,
}

impl Registry {
    /// What is linked into this program.
    pub(crate) fn linked() -> Self {
        let mut activities: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for RegisteredActivity(definition) in inventory::iter::<RegisteredActivity> {
            activities.entry(definition.name).or_default().push(*definition);
        }
        let mut workflows: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for RegisteredWorkflow(definition) in inventory::iter::<RegisteredWorkflow> {
            let names = definition.aliases.iter().copied().chain([definition.name]);
            for name in names {
                workflows.entry((name, definition.version)).or_default().push(*definition);
            }
        }
        Self { activities, workflows }
    }

    /// The activity of this name for a store of this kind. One that is declared at module level
    /// goes before one inside a function's body; two of the latter are ambiguous.
    pub(crate) fn activity(&self, name: &str, store_kind: &str) -> Option<&'static ActivityDefinition> {
        let all = self.activities.get(name)?;
        pick(all.iter().copied().filter(|d| d.fits(store_kind)), ActivityDefinition::is_module_level)
    }

    pub(crate) fn workflow(&self, name: &str, version: u32) -> Option<&'static WorkflowDefinition> {
        let all = self.workflows.iter().find(|((n, v), _)| *n == name && *v == version)?.1;
        pick(all.iter().copied(), WorkflowDefinition::is_module_level)
    }

    pub(crate) fn activities(&self) -> impl Iterator<Item = &'static ActivityDefinition> + '_ {
        self.activities.values().flatten().copied()
    }

    /// All workflows, each under each of its names.
    pub(crate) fn workflows(&self) -> impl Iterator<Item = (&'static str, &'static WorkflowDefinition)> + '_ {
        self.workflows.iter().flat_map(|((name, _), all)| all.iter().map(|definition| (*name, *definition)))
    }
}

fn pick<T>(all: impl Iterator<Item = &'static T> + Clone, is_module_level: impl Fn(&T) -> bool) -> Option<&'static T> {
    let mut global = all.clone().filter(|d| is_module_level(d));
    if let Some(first) = global.next() {
        return global.next().is_none().then_some(first);
    }
    let mut local = all;
    let first = local.next()?;
    local.next().is_none().then_some(first)
}

impl ActivityDefinition {
    /// Whether a store of this kind can run it.
    pub(crate) fn fits(&self, store_kind: &str) -> bool {
        match self.code {
            Code::Async(_) | Code::Blocking(_) => true,
            Code::Transaction { store_kind: needed, .. } | Code::AsyncTransaction { store_kind: needed, .. } => {
                needed == store_kind
            }
        }
    }
}
