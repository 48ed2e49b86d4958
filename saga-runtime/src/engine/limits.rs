//! How many attempts run at once in this process, and how often one of an activity begins.
//!
//! Who waits, waits in the order of coming, before the attempt's timeout begins to count. A
//! place is given back when the attempt ends, however it does, or is dropped.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard, Semaphore, SemaphorePermit};

use crate::clock::Clock;

/// How much of one activity, or of one queue, this process does. See
/// [`EngineBuilder::limit`](crate::EngineBuilder::limit) and
/// [`EngineBuilder::limit_queue`](crate::EngineBuilder::limit_queue).
///
/// ```
/// use saga_runtime::Limit;
/// use std::time::Duration;
///
/// // What the payment provider allows: 8 connections, 100 requests a second.
/// let limit = Limit::new().at_once(8).per(100, Duration::from_secs(1));
/// # let _ = limit;
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limit {
    at_once: Option<usize>,
    rate: Option<(usize, Duration)>,
}

impl Limit {
    /// No limit yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { at_once: None, rate: None }
    }

    /// The most attempts that run at once; at least 1.
    #[must_use]
    pub const fn at_once(mut self, attempts: usize) -> Self {
        self.at_once = Some(if attempts == 0 { 1 } else { attempts });
        self
    }

    /// The most attempts that begin within any span of this length; at least 1. Repeated attempts
    /// count as first ones do.
    #[must_use]
    pub const fn per(mut self, attempts: usize, span: Duration) -> Self {
        self.rate = Some((if attempts == 0 { 1 } else { attempts }, span));
        self
    }
}

impl Limit {
    pub(crate) const fn most_at_once(&self) -> Option<usize> {
        self.at_once
    }
}

/// The limits of one process.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    all: Option<Semaphore>,
    each: BTreeMap<&'static str, Gate>,
    queues: BTreeMap<String, Gate>,
}

#[derive(Debug)]
struct Gate {
    at_once: Option<Semaphore>,
    /// Whoever has the lock is the next to begin.
    window: Option<Mutex<Window>>,
}

/// An attempt's places, for as long as it runs.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    _permits: [Option<SemaphorePermit<'a>>; 3],
}

impl Gate {
    fn new(limit: &Limit) -> Self {
        Self {
            at_once: limit.at_once.map(places),
            window: limit.rate.map(|(count, span)| Mutex::new(Window { count, span, begun: VecDeque::new() })),
        }
    }

    /// Waits until the rate allows one more. It is taken when the answer is told to begin.
    async fn turn(&self, clock: &dyn Clock) -> Option<MutexGuard<'_, Window>> {
        let window = self.window.as_ref()?.lock().await;
        while let Some(wait) = window.wait(clock.elapsed()) {
            clock.sleep_until(clock.now().after(wait)).await;
        }
        Some(window)
    }
}

fn places(number: usize) -> Semaphore {
    Semaphore::new(number.min(Semaphore::MAX_PERMITS))
}

impl Limits {
    pub(crate) fn new(
        all: Option<usize>,
        each: &BTreeMap<&'static str, Limit>,
        queues: &BTreeMap<String, Limit>,
    ) -> Self {
        Self {
            all: all.map(places),
            each: each.iter().map(|(name, limit)| (*name, Gate::new(limit))).collect(),
            queues: queues.iter().map(|(name, limit)| (name.clone(), Gate::new(limit))).collect(),
        }
    }

    /// Whether attempts of an activity may have to wait.
    pub(crate) fn apply_to<'a>(&self, activity: &str, queue: impl FnOnce() -> Option<&'a str>) -> bool {
        self.all.is_some()
            || self.each.contains_key(activity)
            || (!self.queues.is_empty() && queue().is_some_and(|queue| self.queues.contains_key(queue)))
    }

    /// Waits until an attempt may begin. The narrower limits come first, so that who waits for one
    /// keeps nobody else from a wider one; what a rate allows is taken last, with all the rest
    /// at hand, so that nothing is taken by who goes away meanwhile.
    pub(crate) async fn admit(&self, activity: &str, queue: Option<&str>, clock: &dyn Clock) -> Pass<'_> {
        let of_activity = self.each.get(activity);
        let of_queue = queue.and_then(|queue| self.queues.get(queue));
        let gates = [of_activity, of_queue];
        let mut places = [None, None];
        for (place, gate) in places.iter_mut().zip(gates) {
            *place = self::place(gate.and_then(|gate| gate.at_once.as_ref())).await;
        }
        let mut turns = Vec::new();
        for gate in gates.into_iter().flatten() {
            turns.extend(gate.turn(clock).await);
        }
        let of_all = place(self.all.as_ref()).await;
        for mut window in turns {
            window.begin(clock.elapsed());
        }
        let [of_activity, of_queue] = places;
        Pass { _permits: [of_activity, of_queue, of_all] }
    }
}

async fn place(semaphore: Option<&Semaphore>) -> Option<SemaphorePermit<'_>> {
    // They are never closed.
    semaphore?.acquire().await.ok()
}

/// When the last attempts began.
#[derive(Debug)]
struct Window {
    count: usize,
    span: Duration,
    begun: VecDeque<Duration>,
}

impl Window {
    /// How long the next attempt has to wait.
    fn wait(&self, now: Duration) -> Option<Duration> {
        if self.begun.len() < self.count {
            return None;
        }
        let free = self.begun.front()?.saturating_add(self.span);
        free.checked_sub(now).filter(|wait| !wait.is_zero())
    }

    fn begin(&mut self, now: Duration) {
        if self.begun.len() >= self.count {
            self.begun.pop_front();
        }
        self.begun.push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;

    use super::*;
    use crate::clock::Still;

    const SECOND: Duration = Duration::from_secs(1);

    fn limits(all: Option<usize>, of_pay: Limit) -> &'static Limits {
        Box::leak(Box::new(Limits::new(all, &BTreeMap::from([("pay", of_pay)]), &BTreeMap::new())))
    }

    fn ask(limits: &'static Limits, clock: &Arc<Still>, activity: &'static str) -> BoxFuture<'static, Pass<'static>> {
        let clock = Arc::clone(clock);
        let mut admission = async move { limits.admit(activity, None, &*clock).await }.boxed();
        // A place in the queue is taken at the first poll.
        match (&mut admission).now_or_never() {
            Some(pass) => std::future::ready(pass).boxed(),
            None => admission,
        }
    }

    fn admitted(admission: &mut BoxFuture<'static, Pass<'static>>) -> Option<Pass<'static>> {
        admission.now_or_never()
    }

    #[test]
    fn as_many_as_allowed_run_at_once_and_the_rest_in_the_order_of_coming() {
        let (limits, clock) = (limits(None, Limit::new().at_once(2)), Still::new());
        let mut waiting: Vec<_> = (0..5).map(|_| ask(limits, &clock, "pay")).collect();
        let mut running: VecDeque<_> = waiting.drain(..2).filter_map(|mut one| admitted(&mut one)).collect();
        assert_eq!(running.len(), 2);
        while !waiting.is_empty() {
            assert!(waiting.iter_mut().all(|one| admitted(one).is_none()));
            running.pop_front();
            let next = admitted(&mut waiting.remove(0)).expect("the one that came first goes first");
            running.push_back(next);
        }
        assert!(admitted(&mut ask(limits, &clock, "ship")).is_some(), "others are not concerned");
    }

    #[test]
    fn whoever_goes_away_while_waiting_takes_nothing_along() {
        let limit = Limit::new().at_once(1).per(2, SECOND);
        let (limits, clock) = (limits(Some(1), limit), Still::new());
        for _ in 0..10 {
            let running = admitted(&mut ask(limits, &clock, "pay")).expect("nobody else is there");
            let gone = ask(limits, &clock, "pay");
            let elsewhere = ask(limits, &clock, "ship");
            drop(running);
            // Each of them has been given the place by now, and does not look.
            drop((gone, elsewhere));
            let running = admitted(&mut ask(limits, &clock, "pay")).expect("the place is free");
            let waits = ask(limits, &clock, "pay");
            drop(running);
            drop(waits);
            clock.pass(1);
        }
    }

    #[test]
    fn no_more_than_allowed_begin_within_any_span() {
        let (limits, clock) = (limits(None, Limit::new().per(3, SECOND * 10)), Still::new());
        let mut begun = Vec::new();
        let mut waiting: VecDeque<_> = (0..12).map(|_| ask(limits, &clock, "pay")).collect();
        for now in 0..60 {
            while let Some(pass) = waiting.front_mut().and_then(admitted) {
                waiting.pop_front();
                begun.push(now);
                drop(pass);
            }
            clock.pass(1);
        }
        assert_eq!(begun, [0, 0, 0, 10, 10, 10, 20, 20, 20, 30, 30, 30]);
    }

    #[test]
    fn a_burst_at_the_end_of_a_span_counts_for_the_next() {
        let mut window = Window { count: 2, span: SECOND * 10, begun: VecDeque::new() };
        for (at, wait) in [(0, None), (9, None), (9, Some(1)), (10, None), (11, Some(8)), (19, None)] {
            let now = SECOND * at;
            assert_eq!(window.wait(now), wait.map(|seconds: u32| SECOND * seconds), "at {at}");
            if wait.is_none() {
                window.begin(now);
            }
        }
    }

    #[test]
    fn who_waits_for_the_rate_holds_no_place_of_all() {
        let (limits, clock) = (limits(Some(1), Limit::new().per(1, SECOND)), Still::new());
        drop(admitted(&mut ask(limits, &clock, "pay")));
        let mut waits = ask(limits, &clock, "pay");
        assert!(admitted(&mut waits).is_none());
        assert!(admitted(&mut ask(limits, &clock, "ship")).is_some());
        clock.pass(1);
        assert!(admitted(&mut waits).is_some());
    }
}
