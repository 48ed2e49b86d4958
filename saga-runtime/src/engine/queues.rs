//! How much of each queue this worker has at a time, where that is limited: it takes no more than it
//! may attempt, so that the rest is there for others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::limits::Limit;
use crate::errand;
use crate::session;

/// Names and versions of workflows.
type Served = Vec<(String, u32)>;

/// What this worker serves, in portions that are claimed apart.
pub(crate) struct Queues {
    rest: Served,
    limited: BTreeMap<String, Queue>,
}

struct Queue {
    runs: Served,
    most: usize,
    taken: AtomicUsize,
}

impl Queues {
    /// `sessions` is how many of each queue's sessions it has at a time.
    pub(crate) fn new(
        served: &[(String, u32)],
        limits: &BTreeMap<String, Limit>,
        sessions: &BTreeMap<String, usize>,
    ) -> Self {
        let queue = |most| Queue { runs: Vec::new(), most, taken: AtomicUsize::new(0) };
        let most = |(name, limit): (&String, &Limit)| Some((name.clone(), queue(limit.most_at_once()?)));
        let mut limited: BTreeMap<String, Queue> = limits.iter().filter_map(most).collect();
        limited.extend(sessions.iter().map(|(name, most)| (session::workflow(name), queue(*most))));
        let mut rest = Vec::new();
        for workflow in served {
            match portion_of(&workflow.0).and_then(|name| limited.get_mut(name)) {
                Some(queue) => queue.runs.push(workflow.clone()),
                None => rest.push(workflow.clone()),
            }
        }
        Self { rest, limited }
    }

    /// What is claimed without a limit of its own.
    pub(crate) fn unlimited(&self) -> &[(String, u32)] {
        &self.rest
    }

    /// What to claim.
    pub(crate) fn portions(&self) -> impl Iterator<Item = Portion<'_>> {
        let limited = self.limited.values().map(|queue| Portion { served: &queue.runs, queue: Some(queue) });
        std::iter::once(Portion { served: &self.rest, queue: None }).chain(limited)
    }

    /// Keeps a place for a run of this workflow that may come; none is needed, if that is not limited.
    pub(crate) fn keep(self: &Arc<Self>, workflow: &str) -> Result<Option<Place>, Full> {
        let Some((name, queue)) = self.of(workflow) else { return Ok(None) };
        if queue.keep(1) == 0 {
            return Err(Full);
        }
        Ok(Some(Place { queues: Arc::clone(self), name: name.to_owned() }))
    }

    /// A run of this workflow comes for which no place was kept; none is needed, if that is not
    /// limited. One that was given to this worker comes also if there is no room for it.
    pub(crate) fn enter(self: &Arc<Self>, workflow: &str) -> Option<Place> {
        let (name, queue) = self.of(workflow)?;
        queue.taken.fetch_add(1, Ordering::AcqRel);
        Some(Place { queues: Arc::clone(self), name: name.to_owned() })
    }

    fn of<'w>(&self, workflow: &'w str) -> Option<(&'w str, &Queue)> {
        let name = portion_of(workflow)?;
        Some((name, self.limited.get(name)?))
    }
}

/// What limits runs of this workflow: the name of a queue, or of the sessions of one.
fn portion_of(workflow: &str) -> Option<&str> {
    errand::queue_of(workflow).or_else(|| session::is_session(workflow).then_some(workflow))
}

impl Queue {
    /// Takes up to so many places; gives their number.
    fn keep(&self, most: usize) -> usize {
        let mut places = 0;
        let taken = |taken: usize| {
            places = self.most.saturating_sub(taken).min(most);
            (places > 0).then_some(taken + places)
        };
        // Refused, it has left no place.
        let _ = self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, taken);
        places
    }
}

/// A queue has as much as it may.
#[derive(Debug)]
pub(crate) struct Full;

/// A part of what this worker serves.
pub(crate) struct Portion<'a> {
    pub(crate) served: &'a Served,
    queue: Option<&'a Queue>,
}

impl<'a> Portion<'a> {
    /// Keeps places for what a claim may give, until the answer is dropped: by then what has come has
    /// places of its own.
    pub(crate) fn keep(&self, most: usize) -> Kept<'a> {
        Kept { queue: self.queue, places: self.queue.map_or(most, |queue| queue.keep(most)) }
    }
}

/// Places for what a claim may give.
pub(crate) struct Kept<'a> {
    queue: Option<&'a Queue>,
    places: usize,
}

impl Kept<'_> {
    pub(crate) fn places(&self) -> usize {
        self.places
    }
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        if let Some(queue) = self.queue {
            queue.taken.fetch_sub(self.places, Ordering::AcqRel);
        }
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
        let queues = Arc::new(Queues::new(&served, &BTreeMap::from(limits), &BTreeMap::new()));
        let claims = |queues: &Queues| -> Vec<(usize, usize)> {
            queues.portions().map(|portion| (portion.served.len(), portion.keep(100).places())).collect()
        };
        assert_eq!(claims(&queues), [(2, 100), (2, 2)], "a queue without a number is claimed with the rest");
        assert!(queues.enter("order").is_none() && queues.enter("@activity/mail/send").is_none());
        let first = queues.enter("@activity/gpu/render");
        let second = queues.enter("@activity/gpu/encode");
        assert_eq!(claims(&queues)[1], (2, 0));
        assert!(queues.keep("@activity/gpu/render").is_err() && queues.keep("order").is_ok());
        drop((first, second));
        assert_eq!(claims(&queues)[1], (2, 2));
    }

    #[test]
    fn what_is_about_to_be_claimed_and_what_is_about_to_be_started_share_the_places() {
        let served = vec![("@activity/gpu/render".to_owned(), 1)];
        let queues = Arc::new(Queues::new(
            &served,
            &BTreeMap::from([("gpu".to_owned(), Limit::new().at_once(3))]),
            &BTreeMap::new(),
        ));
        let portion = queues.portions().nth(1).unwrap();
        let started = queues.keep("@activity/gpu/render").unwrap();
        let claimed = portion.keep(10);
        assert_eq!(claimed.places(), 2);
        assert!(queues.keep("@activity/gpu/render").is_err() && portion.keep(10).places() == 0);
        drop(started);
        let started = queues.keep("@activity/gpu/render");
        assert!(started.is_ok());
        drop(claimed);
        assert_eq!(portion.keep(1).places(), 1, "no more than was asked for");
        assert_eq!(portion.keep(10).places(), 2);
    }
}
