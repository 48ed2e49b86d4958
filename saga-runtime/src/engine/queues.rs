//! How much of each queue this worker has at a time, where that is limited: it takes no more than it
//! may attempt, so that the rest is there for others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::limits::Limit;
use crate::errand;

/// Names and versions of workflows.
type Served = Vec<(String, u32)>;

/// What this worker serves, in portions that are claimed apart.
pub(crate) struct Queues {
    rest: Served,
    limited: BTreeMap<String, Queue>,
}

struct Queue {
    errands: Served,
    most: usize,
    taken: AtomicUsize,
}

impl Queues {
    pub(crate) fn new(served: &[(String, u32)], limits: &BTreeMap<String, Limit>) -> Self {
        let queue = |most| Queue { errands: Vec::new(), most, taken: AtomicUsize::new(0) };
        let most = |(name, limit): (&String, &Limit)| Some((name.clone(), queue(limit.most_at_once()?)));
        let mut limited: BTreeMap<String, Queue> = limits.iter().filter_map(most).collect();
        let mut rest = Vec::new();
        for workflow in served {
            match errand::queue_of(&workflow.0).and_then(|queue| limited.get_mut(queue)) {
                Some(queue) => queue.errands.push(workflow.clone()),
                None => rest.push(workflow.clone()),
            }
        }
        Self { rest, limited }
    }

    /// What to claim, and how much of it at most.
    pub(crate) fn portions(&self) -> impl Iterator<Item = (&Served, usize)> {
        std::iter::once((&self.rest, usize::MAX))
            .chain(self.limited.values().map(|queue| (&queue.errands, queue.room())))
    }

    /// Whether there is room for a run of this workflow.
    pub(crate) fn has_room(&self, workflow: &str) -> bool {
        self.of(workflow).is_none_or(|queue| queue.room() > 0)
    }

    /// A run of this workflow comes; nothing, if that is not limited. One that was given to this
    /// worker comes also if there is no room for it.
    pub(crate) fn enter(self: &Arc<Self>, workflow: &str) -> Option<Place> {
        let name = errand::queue_of(workflow)?.to_owned();
        self.limited.get(&name)?.taken.fetch_add(1, Ordering::AcqRel);
        Some(Place { queues: Arc::clone(self), name })
    }

    fn of(&self, workflow: &str) -> Option<&Queue> {
        self.limited.get(errand::queue_of(workflow)?)
    }
}

impl Queue {
    fn room(&self) -> usize {
        self.most.saturating_sub(self.taken.load(Ordering::Acquire))
    }
}

/// A run's place among those of its queue.
pub(crate) struct Place {
    queues: Arc<Queues>,
    name: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(queue) = self.queues.limited.get(&self.name) {
            queue.taken.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_claimed_of_a_queue_than_there_is_room_for() {
        let names = ["order", "@activity/gpu/render", "@activity/gpu/encode", "@activity/mail/send"];
        let served: Served = names.iter().map(|name| ((*name).to_owned(), 1)).collect();
        let limits = [("gpu".to_owned(), Limit::new().at_once(2)), ("mail".to_owned(), Limit::new())];
        let queues = Arc::new(Queues::new(&served, &BTreeMap::from(limits)));
        let claims = |queues: &Queues| -> Vec<(usize, usize)> {
            queues.portions().map(|(served, most)| (served.len(), most)).collect()
        };
        assert_eq!(claims(&queues), [(2, usize::MAX), (2, 2)], "a queue without a number is claimed with the rest");
        assert!(queues.enter("order").is_none() && queues.enter("@activity/mail/send").is_none());
        let first = queues.enter("@activity/gpu/render");
        let second = queues.enter("@activity/gpu/encode");
        assert_eq!(claims(&queues)[1], (2, 0));
        assert!(!queues.has_room("@activity/gpu/render") && queues.has_room("order"));
        drop((first, second));
        assert_eq!(claims(&queues)[1], (2, 2));
    }
}
