//! Which operations wait for which events.

use std::collections::BTreeMap;

use saga_store::wire::OpId;

/// Whoever has waited longest for a name comes first.
#[derive(Debug, Default)]
pub(super) struct AwaitedEvents {
    queues: BTreeMap<String, BTreeMap<u64, OpId>>,
    /// For what each waits, and since when.
    waiting: BTreeMap<OpId, (String, u64)>,
    next: u64,
}

impl AwaitedEvents {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn push(&mut self, name: &str, op: OpId) {
        let turn = self.next;
        self.next += 1;
        self.queues.entry(name.to_owned()).or_default().insert(turn, op.clone());
        self.waiting.insert(op, (name.to_owned(), turn));
    }

    /// Who is to have an event of this name.
    pub(super) fn pop(&mut self, name: &str) -> Option<OpId> {
        let queue = self.queues.get_mut(name)?;
        let (_, op) = queue.pop_first()?;
        if queue.is_empty() {
            self.queues.remove(name);
        }
        self.waiting.remove(&op);
        Some(op)
    }

    /// A branch was dropped: nobody in it waits any more.
    pub(super) fn drop_within(&mut self, scope: &OpId) {
        let from = self.waiting.range(scope..).map(|(op, _)| op);
        let within: Vec<OpId> = from.take_while(|op| op.is_within(scope)).cloned().collect();
        for op in within {
            let Some((name, turn)) = self.waiting.remove(&op) else { continue };
            if let Some(queue) = self.queues.get_mut(&name) {
                queue.remove(&turn);
                if queue.is_empty() {
                    self.queues.remove(&name);
                }
            }
        }
    }
}
