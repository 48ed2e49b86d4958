//! Which paths of changed code a run takes.

use std::collections::{BTreeMap, BTreeSet};

use saga_store::wire::Entry;

use super::Context;

/// Which paths of changed code the run takes.
#[derive(Debug, Default)]
pub(super) struct Patches {
    chosen: BTreeMap<String, bool>,
    recorded: BTreeSet<String>,
    /// Whether an older build has been here: what it decided comes later in the journal.
    behind: bool,
}

impl Context {
    /// The patches whose new path the journal says that the run takes.
    pub(crate) fn set_patches(&mut self, recorded: BTreeSet<String>) {
        self.patches.recorded = recorded;
    }

    /// Whether what is polled next has been polled before, and the journal says what came after.
    pub(crate) fn set_behind(&mut self, behind: bool) {
        self.patches.behind = behind;
    }

    /// The run's choice, which is made once.
    pub(crate) fn patched(&mut self, id: &str) -> bool {
        if let Some(choice) = self.patches.chosen.get(id) {
            return *choice;
        }
        let choice = !self.patches.behind || self.patches.recorded.contains(id);
        self.patches.chosen.insert(id.to_owned(), choice);
        if choice {
            self.note(Entry::Patched(id.to_owned()));
        }
        choice
    }

    pub(crate) fn deprecate_patch(&mut self, id: &str) {
        if self.patches.recorded.contains(id) && self.patches.chosen.insert(id.to_owned(), true).is_none() {
            self.note(Entry::Patched(id.to_owned()));
        }
    }
}
