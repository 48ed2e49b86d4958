//! What happened in a simulation, chance, and the first rule that was broken.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use saga_store::ExecutionId;
use saga_store::wire::join_rows;

use crate::memory::MemoryStore;
use crate::test::dice::Dice;
use crate::test::rules;
use crate::test::time::VirtualTime;

/// A clone is the same one.
#[derive(Clone)]
pub(super) struct Log(Arc<Mutex<State>>);

struct State {
    time: VirtualTime,
    dice: Dice,
    quiet: bool,
    trace: Vec<String>,
    broken: Option<String>,
}

impl Log {
    pub(super) fn new(time: VirtualTime, dice: Dice) -> Self {
        Self(Arc::new(Mutex::new(State { time, dice, quiet: false, trace: Vec::new(), broken: None })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn say(&self, what: String) {
        let mut state = self.lock();
        let now = state.time.now();
        state.trace.push(format!("{now} {what}"));
    }

    pub(super) fn broken(&self, rule: String) {
        self.say(rule.clone());
        self.lock().broken.get_or_insert(rule);
    }

    pub(super) fn first_broken(&self) -> Option<String> {
        self.lock().broken.clone()
    }

    pub(super) fn trace(&self) -> Vec<String> {
        self.lock().trace.clone()
    }

    /// From here on nothing goes wrong any more.
    pub(super) fn quiet(&self) {
        self.lock().quiet = true;
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.lock().quiet
    }

    pub(super) fn below(&self, end: usize) -> usize {
        self.lock().dice.below(end)
    }

    pub(super) fn chance(&self, times: usize) -> bool {
        let mut state = self.lock();
        !state.quiet && state.dice.below(times) == 0
    }

    /// Holds a run's journal against the rules.
    pub(super) fn look_at(&self, store: &MemoryStore, execution: ExecutionId) {
        let Some((_, journal)) = store.look(execution) else { return };
        let broken = match join_rows(&journal) {
            Ok(records) => rules::broken(&records),
            Err(error) => Some(format!("rule 1: a journal cannot be read: {error}")),
        };
        if let Some(broken) = broken {
            self.broken(format!("{broken} (run {execution})"));
        }
    }
}
