//! What a test holds in its hand: time, tasks, and who is at work outside.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use saga_store::Timestamp;

use super::executor::Tasks;
use super::time::{Sleep, VirtualTime};
use crate::clock::Clock;
use crate::erased::BoxFuture;

/// Timers beyond this are never reached: those of an engine's housekeeping.
pub(super) const NEVER: Duration = Duration::from_secs(1000 * 365 * 86_400);

const HORIZON: Duration = Duration::from_secs(500 * 365 * 86_400);

/// Time, tasks, and the attempts whose code is at work. A clone is the same one.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) time: VirtualTime,
    pub(crate) tasks: Tasks,
    begin: Timestamp,
    outside: Arc<AtomicUsize>,
    problem: Arc<Mutex<Option<String>>>,
    describe: Arc<Mutex<Option<Describe>>>,
}

type Describe = Box<dyn Fn() -> String + Send>;

/// What one turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Something happened.
    Moved,
    /// An attempt's own code waits for something outside of the engine: time stands.
    Outside,
    /// Nothing more can happen.
    Stuck,
}

impl World {
    pub(crate) fn new(begin: Timestamp, tasks: Tasks) -> Self {
        Self {
            time: VirtualTime::new(begin),
            tasks,
            begin,
            outside: Arc::default(),
            problem: Arc::default(),
            describe: Arc::default(),
        }
    }

    /// Says how to tell a reader what is waited for.
    pub(super) fn describe_by(&self, describe: impl Fn() -> String + Send + 'static) {
        *self.describe.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(describe));
    }

    /// The test cannot go on, for this reason.
    pub(super) fn fail(&self, problem: String) {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(problem);
    }

    /// Counts an attempt whose own code is at work, for as long as the guard lives.
    pub(super) fn at_work(&self) -> AtWork {
        self.outside.fetch_add(1, Ordering::AcqRel);
        AtWork(Arc::clone(&self.outside))
    }

    /// Lets everything go on that can without time moving.
    pub(crate) fn settle(&self) -> bool {
        let mut moved = false;
        while self.tasks.step() {
            moved = true;
        }
        moved
    }

    /// Lets everything go on that can; if nothing can, moves time to the next timer, at most to
    /// `until`. Time moves only when no task is ready and no attempt's own code is at work: this
    /// is known, not guessed.
    pub(crate) fn turn(&self, waker: &Waker, until: Timestamp) -> Turn {
        // Told before it is looked at: a wake in between is not lost.
        self.tasks.tell(waker);
        if self.settle() {
            return Turn::Moved;
        }
        if self.outside.load(Ordering::Acquire) > 0 {
            return Turn::Outside;
        }
        match self.time.next_due() {
            Some(due) if due <= until && due < self.begin.after(HORIZON) => {
                self.time.move_to(due);
                Turn::Moved
            }
            _ => Turn::Stuck,
        }
    }

    /// Waits until a task can go on that waited for something outside of the engine.
    pub(super) async fn outside(&self) {
        std::future::poll_fn(|cx| {
            self.tasks.tell(cx.waker());
            if self.tasks.any_ready() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Whether an attempt's own code is at work.
    pub(super) fn is_outside(&self) -> bool {
        self.outside.load(Ordering::Acquire) > 0
    }

    /// Moves time to the next timer; false if there is none to be reached.
    pub(super) fn next_moment(&self) -> bool {
        match self.time.next_due() {
            Some(due) if due < self.begin.after(HORIZON) => {
                self.time.move_to(due);
                true
            }
            _ => false,
        }
    }

    /// Fails the test if it cannot go on.
    pub(super) fn check(&self) {
        let problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(problem) = problem {
            panic!("{problem}");
        }
    }

    fn stuck(&self) -> String {
        let waits = match &*self.describe.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(describe) => describe(),
            None => String::new(),
        };
        format!("the test waits, but nothing more can happen{waits}")
    }

    /// Lets things happen, on and on, until `goal` gives a value. It is asked after each step of
    /// each task.
    pub(super) async fn until<T>(&self, mut goal: impl FnMut() -> Option<T>) -> T {
        std::future::poll_fn(|cx| {
            loop {
                self.check();
                if let Some(value) = goal() {
                    return Poll::Ready(value);
                }
                if self.tasks.step() {
                    continue;
                }
                match self.turn(cx.waker(), Timestamp::from_micros(i64::MAX)) {
                    Turn::Moved => {}
                    Turn::Outside => return Poll::Pending,
                    Turn::Stuck => panic!("{}", self.stuck()),
                }
            }
        })
        .await
    }

    /// Lets everything happen up to a moment.
    pub(super) async fn until_moment(&self, moment: Timestamp) {
        std::future::poll_fn(|cx| {
            loop {
                self.check();
                match self.turn(cx.waker(), moment) {
                    Turn::Moved => {}
                    Turn::Outside => return Poll::Pending,
                    Turn::Stuck => {
                        self.time.move_to(moment);
                        if !self.settle() {
                            return Poll::Ready(());
                        }
                    }
                }
            }
        })
        .await;
    }
}

/// An attempt's own code is at work.
pub(super) struct AtWork(Arc<AtomicUsize>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        self.time.now()
    }

    fn sleep_until(&self, moment: Timestamp) -> BoxFuture<'static, ()> {
        Box::pin(Waits { world: self.clone(), sleep: self.time.sleep_until(moment) })
    }

    fn elapsed(&self) -> Duration {
        self.time.now().since(self.begin)
    }

    fn learn(&self, _: Timestamp) {}
}

/// A wait for a moment. Inside the engine it just waits; where the test itself waits, it lets
/// the engine go on meanwhile, since nobody else does.
struct Waits {
    world: World,
    sleep: Sleep,
}

impl Future for Waits {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let polled = Pin::new(&mut self.sleep).poll(cx);
        if polled.is_ready() || Tasks::inside() {
            return polled;
        }
        self.world.check();
        match self.world.turn(cx.waker(), Timestamp::from_micros(i64::MAX)) {
            // Whoever waits beside this looks first, after each turn.
            Turn::Moved => cx.waker().wake_by_ref(),
            Turn::Outside => {}
            Turn::Stuck => panic!("{}", self.world.stuck()),
        }
        Poll::Pending
    }
}
