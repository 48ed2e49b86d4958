//! Starts gather as commits do: while calls of the store are under way the next starts wait, and
//! go together. An idle store starts a run at once. After a call of a few, the next is put off for as long as that one
//! took: a call costs the store much beside its starts, and then brings more of them.
//!
//! Starts whose id the caller chose travel apart from those with fresh ids: such an id may be held
//! by somebody's open transaction, and then its group is taken apart, so that only it waits.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use saga_store::{ErrorKind, ExecutionId, NewRun, Started, StoreError};
use tokio::sync::oneshot;

use super::draft::Order;
use super::{ClientError, Parts};

/// Calls under way at a time, of each kind of id.
const LANES: usize = 2;

/// So many starts with fresh ids must wait for a second call beside the first: one call of all costs the
/// store less than two of a half. An id that the caller chose may hold up its call, and the rest is to have another.
const MANY: usize = 32;

/// A call of so many is not waited for: what it costs beside its starts is shared by enough.
const FEW: usize = 16;

/// A store that is far away takes its time without being busy.
const LONGEST_REST: Duration = Duration::from_millis(2);

/// The most starts in one call.
const GROUP_LIMIT: usize = 256;

/// The most starts of each kind that wait, unless the client says otherwise.
const MAX_WAITING: usize = 10_000;

/// The most bytes of those that wait.
const MAX_BYTES: usize = 64 << 20;

/// What is said to who comes too early makes sense, whatever was measured.
const SHORTEST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

type Answer = Result<Started, StoreError>;

/// What came of an order, which its caller has back with it.
type Told = Result<(Started, Box<Order>), StoreError>;

struct Job {
    order: Box<Order>,
    answer: oneshot::Sender<Told>,
}

impl Job {
    fn run(&self) -> &NewRun {
        &self.order.draft.new
    }
}

/// What waits to be started.
pub(super) struct Starts {
    max_waiting: AtomicUsize,
    fresh: Mutex<Queue>,
    named: Mutex<Queue>,
}

impl Default for Starts {
    fn default() -> Self {
        Self { max_waiting: AtomicUsize::new(MAX_WAITING), fresh: Mutex::default(), named: Mutex::default() }
    }
}

impl Starts {
    pub(super) fn set_max_waiting(&self, starts: usize) {
        self.max_waiting.store(starts.max(1), Ordering::Relaxed);
    }
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Job>,
    /// The size of what waits.
    bytes: usize,
    /// How many of a group that got no answer are sent each by itself now, and their size.
    apart: usize,
    bytes_apart: usize,
    lanes: usize,
    /// How many of the lanes rest.
    resting: usize,
    /// How long the last call took.
    took: Duration,
}

impl Queue {
    /// Whether what has just come needs a lane more.
    fn needs_a_lane(&self, named: bool) -> bool {
        let may_be_held_up = named && self.resting == 0;
        self.lanes == 0 || (self.lanes < LANES && (may_be_held_up || self.waiting.len() >= MANY))
    }

    /// How long a lane rests that has just sent so many.
    fn rest_after(&self, sent: usize) -> Duration {
        let few = (2..FEW).contains(&sent) && self.waiting.len() < FEW;
        if few { self.took.min(LONGEST_REST) } else { Duration::ZERO }
    }
}

fn bytes_of(new: &NewRun) -> usize {
    let blobs = new.blobs.iter().map(|blob| blob.bytes.len());
    let messages = new.messages.iter().map(|(_, body)| body.len());
    let memo = new.memo.as_ref().map_or(0, bytes::Bytes::len);
    new.first.len() + memo + blobs.chain(messages).sum::<usize>()
}

/// Refuses a start while too many wait. Asked before anything is made of the start, so that a
/// store that is slow or away costs little.
pub(super) fn check(parts: &Parts, named: bool) -> Result<(), ClientError> {
    let queue = lock(parts, named);
    let waiting = queue.waiting.len() + queue.apart;
    let bytes = queue.bytes + queue.bytes_apart;
    if waiting < parts.starts.max_waiting.load(Ordering::Relaxed) && bytes < MAX_BYTES {
        return Ok(());
    }
    let calls = u32::try_from(waiting / GROUP_LIMIT + 1).unwrap_or(u32::MAX);
    let retry_after = queue.took.saturating_mul(calls).clamp(SHORTEST_WAIT, LONGEST_WAIT);
    Err(ClientError::Overloaded { waiting, retry_after })
}

/// Starts a run; `named` if the caller chose its id. What becomes of a start without an answer its
/// worker finds out.
pub(super) fn start(parts: &Arc<Parts>, order: Box<Order>, named: bool) -> oneshot::Receiver<Told> {
    let (answer, answered) = oneshot::channel();
    let free = {
        let mut queue = lock(parts, named);
        queue.bytes += bytes_of(&order.draft.new);
        queue.waiting.push(Job { order, answer });
        let free = queue.needs_a_lane(named);
        queue.lanes += usize::from(free);
        free
    };
    if free {
        parts.spawner.spawn(lane(Arc::downgrade(parts), named));
    }
    answered
}

/// Of a start whose answer does not come.
pub(super) fn unanswered() -> StoreError {
    StoreError::new(ErrorKind::Unavailable, "the start got no answer; start the same id again")
}

fn lock(parts: &Parts, named: bool) -> std::sync::MutexGuard<'_, Queue> {
    let queue = if named { &parts.starts.named } else { &parts.starts.fresh };
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A lane's place, given back also if its task is dropped with the runtime that it ran on.
struct Place {
    parts: Weak<Parts>,
    named: bool,
    taken: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(parts) = self.parts.upgrade().filter(|_| self.taken) {
            lock(&parts, self.named).lanes -= 1;
        }
    }
}

/// A lane's rest, over also if its task is dropped.
struct Rest {
    parts: Weak<Parts>,
    named: bool,
}

impl Drop for Rest {
    fn drop(&mut self) {
        if let Some(parts) = self.parts.upgrade() {
            lock(&parts, self.named).resting -= 1;
        }
    }
}

/// Waits for so long, without keeping the client.
async fn rest(parts: Arc<Parts>, named: bool, time: Duration) {
    if time.is_zero() {
        return;
    }
    lock(&parts, named).resting += 1;
    let _rest = Rest { parts: Arc::downgrade(&parts), named };
    let rested = parts.clock.sleep_until(parts.clock.now().after(time));
    drop(parts);
    rested.await;
}

/// Sends groups until nothing waits.
async fn lane(parts: Weak<Parts>, named: bool) {
    let mut place = Place { parts: parts.clone(), named, taken: true };
    while let Some(parts) = parts.upgrade() {
        // What ends together is often followed by starts that come together: whoever is about to ask has
        // its turn before the group goes.
        parts.spawner.yield_now().await;
        let group = {
            let mut queue = lock(&parts, named);
            let size = queue.waiting.len().min(GROUP_LIMIT);
            if size == 0 {
                // Under the lock by which a start sees that it needs no lane of its own.
                queue.lanes -= 1;
                place.taken = false;
                return;
            }
            let group = queue.waiting.drain(..size).collect::<Vec<_>>();
            queue.bytes -= group.iter().map(|job| bytes_of(job.run())).sum::<usize>();
            group
        };
        let (begun, sent) = (parts.clock.elapsed(), group.len());
        send(&parts, group, named).await;
        let time = {
            let mut queue = lock(&parts, named);
            queue.took = parts.clock.elapsed().saturating_sub(begun);
            queue.rest_after(sent)
        };
        rest(parts, named, time).await;
    }
}

async fn send(parts: &Arc<Parts>, group: Vec<Job>, named: bool) {
    let runs: Vec<NewRun> = group.iter().map(|job| job.run().clone()).collect();
    match parts.store.start(runs).await {
        Ok(answers) => {
            // A job without an answer is dropped, which its caller is told.
            for (job, answer) in group.into_iter().zip(answers) {
                tell(job, Ok(answer));
            }
        }
        Err(error) if group.len() == 1 => {
            group.into_iter().next().into_iter().zip([error]).for_each(|(job, error)| tell(job, Err(error)));
        }
        // Each by itself, so that what holds up one of them holds up no other.
        Err(_) => {
            for job in group {
                let apart = Apart::new(parts, named, bytes_of(job.run()));
                parts.spawner.spawn(async move {
                    let new = job.run();
                    match apart.parts.store.start(vec![new.clone()]).await.map(|mut answers| answers.pop()) {
                        Ok(Some(answer)) => {
                            let answer = mine(answer, new.execution);
                            tell(job, Ok(answer));
                        }
                        Ok(None) => {}
                        Err(error) => tell(job, Err(error)),
                    }
                });
            }
        }
    }
}

/// The call before, that got no answer, may have started it.
pub(super) fn mine(answer: Started, of: ExecutionId) -> Started {
    match answer {
        Started::Existing { execution, .. } if execution == of => Started::New,
        other => other,
    }
}

fn tell(job: Job, answer: Answer) {
    let Job { order, answer: caller } = job;
    match answer {
        Ok(started) => {
            // If the caller has gone, the run is this worker's and waits for its driver.
            if let Err(Ok((Started::New, order))) = caller.send(Ok((started, order))) {
                resolve(*order);
            }
        }
        Err(error) => {
            if error.is_retryable() {
                resolve(*order);
            } else {
                // Before its caller hears, who may send the same again.
                drop(order);
            }
            // Nobody is there to hear it.
            let _ = caller.send(Err(error));
        }
    }
}

/// The worker that kept a place for the run finds out what became of it.
fn resolve(order: Order) {
    if let Some(seat) = order.seat {
        seat.resolve(order.draft.new);
    }
}

/// A start that is sent by itself counts among those that wait, however its task ends.
struct Apart {
    parts: Arc<Parts>,
    named: bool,
    bytes: usize,
}

impl Apart {
    fn new(parts: &Arc<Parts>, named: bool, bytes: usize) -> Self {
        let mut queue = lock(parts, named);
        queue.apart += 1;
        queue.bytes_apart += bytes;
        Self { parts: Arc::clone(parts), named, bytes }
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        let mut queue = lock(&self.parts, self.named);
        queue.apart -= 1;
        queue.bytes_apart -= self.bytes;
    }
}

#[cfg(test)]
mod tests {
    use std::future::IntoFuture;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    use futures_util::FutureExt;
    use saga_store::{NewRun, Started, Store, StoreError};

    use super::{FEW, lock};
    use crate::clock::{Clock, Still};
    use crate::entropy::Entropy;
    use crate::spawn::Spawner;
    use crate::{Client, ClientError, MemoryStore};

    #[crate::workflow]
    async fn nothing() -> crate::Result<()> {
        Ok(())
    }

    #[tokio::test]
    async fn a_start_too_many_is_refused_with_a_time_to_come_again_and_costs_nothing() {
        let client = Client::new(MemoryStore::new()).max_waiting_starts(3);
        // Nothing is sent before this task waits.
        let begin = || {
            let mut starting = client.start(nothing()).into_future();
            let answer = (&mut starting).now_or_never();
            (starting, answer)
        };
        let waiting: Vec<_> = (0..3).map(|_| begin()).collect();
        assert!(waiting.iter().all(|(_, answer)| answer.is_none()));
        for _ in 0..100_000 {
            let refused = begin().1.unwrap().unwrap_err();
            assert!(matches!(refused, ClientError::Overloaded { waiting: 3, .. }), "{refused}");
            assert!(refused.is_retryable() && refused.retry_after().is_some());
        }
        assert!(begin_named(&client).is_none(), "starts with ids of their own are counted apart");
        for (starting, _) in waiting {
            starting.await.unwrap();
        }
        client.start(nothing()).await.unwrap();
    }

    /// Takes starts, and answers none.
    struct Silent {
        inner: MemoryStore,
        calls: Arc<AtomicUsize>,
    }

    impl Store for Silent {
        async fn start(&self, _: Vec<NewRun>) -> Result<Vec<Started>, StoreError> {
            self.calls.fetch_add(1, Ordering::Relaxed);
            std::future::pending().await
        }

        saga_store::forward! {
            kind commit_lanes join beat leave commit transact start_within tell deliver claim adopt reconcile
            next_wake load inbox outbox forget blobs hints get get_execution ended list purge purge_these
        }
    }

    #[tokio::test]
    async fn a_second_call_is_made_where_many_wait_or_an_id_may_hold_up_the_first() {
        let calls = Arc::new(AtomicUsize::new(0));
        let client = Client::new(Silent { inner: MemoryStore::new(), calls: Arc::clone(&calls) });
        let called = async || {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            calls.load(Ordering::Relaxed)
        };
        let mut starting = Vec::new();
        let mut begin = |id: Option<&str>| {
            let call = client.start(nothing());
            let mut call = if let Some(id) = id { call.id(id).into_future() } else { call.into_future() };
            assert!((&mut call).now_or_never().is_none());
            starting.push(call);
        };
        begin(None);
        assert_eq!(called().await, 1);
        (1..super::MANY).for_each(|_| begin(None));
        assert_eq!(called().await, 1, "they wait for the first");
        begin(None);
        assert_eq!(called().await, 2, "so many have one of their own");
        begin(Some("held"));
        assert_eq!(called().await, 3);
        begin(Some("another"));
        assert_eq!(called().await, 4, "nobody waits for an id that somebody holds");
    }

    /// Takes a second for each call, and notes how many starts it brings.
    struct Slow {
        inner: MemoryStore,
        clock: Arc<Still>,
        calls: Arc<Mutex<Vec<usize>>>,
    }

    impl Store for Slow {
        async fn start(&self, runs: Vec<NewRun>) -> Result<Vec<Started>, StoreError> {
            self.calls.lock().unwrap().push(runs.len());
            self.clock.pass(1);
            self.inner.start(runs).await
        }

        saga_store::forward! {
            kind commit_lanes join beat leave commit transact start_within tell deliver claim adopt reconcile
            next_wake load inbox outbox forget blobs hints get get_execution ended list purge purge_these
        }
    }

    #[tokio::test]
    async fn after_a_call_of_a_few_the_next_ones_gather_for_as_long_as_it_took() {
        for named in [false, true] {
            let (clock, calls) = (Still::new(), Arc::<Mutex<Vec<usize>>>::default());
            let store = Slow { inner: MemoryStore::new(), clock: Arc::clone(&clock), calls: Arc::clone(&calls) };
            let time: Arc<dyn Clock> = Arc::<Still>::clone(&clock);
            let client = Client::within(store, time, Spawner::Tokio, Arc::new(Entropy::from_os()));
            let mut starting = Vec::new();
            let mut begin = |starts: usize| {
                for _ in 0..starts {
                    let call = client.start(nothing());
                    let id = format!("named-{}", starting.len());
                    let mut call = if named { call.id(id).into_future() } else { call.into_future() };
                    assert!((&mut call).now_or_never().is_none());
                    starting.push(call);
                }
            };
            let called = async || {
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                calls.lock().unwrap().clone()
            };
            begin(1);
            assert_eq!(called().await, [1]);
            begin(2);
            assert_eq!(called().await, [1, 2], "nothing is waited for after one");
            begin(1);
            assert_eq!(called().await, [1, 2], "after a few the next ones gather");
            begin(FEW + 1);
            clock.pass(1);
            assert_eq!(called().await, [1, 2, FEW + 2]);
            begin(1);
            assert_eq!(called().await, [1, 2, FEW + 2, 1], "nor after many");
            for start in starting {
                start.await.unwrap();
            }
            let queue = lock(&client.parts, named);
            assert_eq!((queue.lanes, queue.resting), (0, 0));
        }
    }

    #[tokio::test]
    async fn a_client_that_is_dropped_while_a_lane_rests_is_gone() {
        let (clock, calls) = (Still::new(), Arc::<Mutex<Vec<usize>>>::default());
        let store = Slow { inner: MemoryStore::new(), clock: Arc::clone(&clock), calls };
        let time: Arc<dyn Clock> = Arc::<Still>::clone(&clock);
        let client = Client::within(store, time, Spawner::Tokio, Arc::new(Entropy::from_os()));
        let (one, another) = tokio::join!(client.start(nothing()), client.start(nothing()));
        drop((one.unwrap(), another.unwrap()));
        assert_eq!(lock(&client.parts, false).resting, 1);
        let parts = Arc::downgrade(&client.parts);
        drop(client);
        assert!(parts.upgrade().is_none(), "the lane does not keep it");
    }

    fn begin_named(client: &Client) -> Option<bool> {
        client.start(nothing()).id("named").into_future().now_or_never().map(|answer| answer.is_ok())
    }
}
