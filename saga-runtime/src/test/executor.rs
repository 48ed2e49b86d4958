//! An executor on one thread that knows exactly when there is nothing to do, and that picks the
//! next task by a seed.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};

use crate::erased::BoxFuture;
use crate::spawn::{Executor, Spawner, Task};
use crate::test::dice::Dice;

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Tasks, by the host that they run on. A host can be killed: its tasks are dropped where they
/// stand, as a process is that loses its power.
#[derive(Clone)]
pub(crate) struct Tasks(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
}

struct State {
    tasks: BTreeMap<u64, Entry>,
    ready: Vec<u64>,
    next: u64,
    /// Who is to be told when a task becomes ready.
    outside: Option<Waker>,
    /// Picks the next task; without it the first that became ready goes on first.
    dice: Option<Dice>,
    paused: Vec<u32>,
}

struct Entry {
    host: u32,
    future: Option<BoxFuture<'static, ()>>,
    waker: Waker,
    queued: bool,
}

struct Wakes {
    tasks: Weak<Inner>,
    id: u64,
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        let Some(inner) = self.tasks.upgrade() else { return };
        let outside = {
            let mut state = inner.lock();
            let Some(entry) = state.tasks.get_mut(&self.id).filter(|entry| !entry.queued) else { return };
            entry.queued = true;
            state.ready.push(self.id);
            state.outside.take()
        };
        if let Some(outside) = outside {
            outside.wake();
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tasks {
    /// An executor; with dice, each next task is drawn.
    pub(crate) fn new(dice: Option<Dice>) -> Self {
        let (tasks, ready) = (BTreeMap::new(), Vec::new());
        let state = State { tasks, ready, next: 0, outside: None, dice, paused: Vec::new() };
        Self(Arc::new(Inner { state: Mutex::new(state) }))
    }

    /// Where the tasks of a host are started.
    pub(crate) fn on(&self, host: u32) -> Spawner {
        Spawner::Executor(Arc::new(Starter { tasks: self.clone(), host, at_once: false }))
    }

    /// The same for what a test itself calls and waits for: such a task begins at once, since
    /// nobody lets tasks go on while the test waits for its answer.
    pub(crate) fn at_once(&self, host: u32) -> Spawner {
        Spawner::Executor(Arc::new(Starter { tasks: self.clone(), host, at_once: true }))
    }

    /// Whether a task can go on.
    pub(crate) fn any_ready(&self) -> bool {
        !self.0.lock().ready.is_empty()
    }

    /// Whether the caller is one of the tasks.
    pub(crate) fn inside() -> bool {
        INSIDE.get()
    }

    /// Who is to be told when a task becomes ready while nobody steps.
    pub(crate) fn tell(&self, waker: &Waker) {
        self.0.lock().outside = Some(waker.clone());
    }

    /// Lets one task go on; false if none can. Exact: a task that is not ready here waits for a
    /// wake that has not come.
    pub(crate) fn step(&self) -> bool {
        let id = {
            let mut state = self.0.lock();
            let Some(id) = state.pick() else { return false };
            drop(state);
            id
        };
        self.poll(id);
        true
    }

    fn poll(&self, id: u64) {
        let (waker, future) = {
            let mut state = self.0.lock();
            let Some(entry) = state.tasks.get_mut(&id) else { return };
            entry.queued = false;
            let Some(future) = entry.future.take() else { return };
            (entry.waker.clone(), future)
        };
        let mut future = future;
        let was_inside = INSIDE.replace(true);
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        INSIDE.set(was_inside);
        let dropped = {
            let mut state = self.0.lock();
            match (polled, state.tasks.get_mut(&id)) {
                (Poll::Pending, Some(entry)) => {
                    entry.future = Some(future);
                    None
                }
                (Poll::Ready(()), Some(_)) => {
                    state.tasks.remove(&id);
                    Some(future)
                }
                (_, None) => Some(future),
            }
        };
        drop(dropped);
    }

    /// Drops all tasks of a host where they stand.
    pub(crate) fn kill(&self, host: u32) {
        let killed: Vec<Entry> = {
            let mut state = self.0.lock();
            let ids: Vec<u64> = state.tasks.iter().filter(|(_, task)| task.host == host).map(|(id, _)| *id).collect();
            state.ready.retain(|id| !ids.contains(id));
            ids.iter().filter_map(|id| state.tasks.remove(id)).collect()
        };
        drop(killed);
    }

    /// Stops a host's tasks without dropping them, or lets them go on.
    pub(crate) fn pause(&self, host: u32, paused: bool) {
        let outside = {
            let mut state = self.0.lock();
            state.paused.retain(|other| *other != host);
            if paused {
                state.paused.push(host);
            }
            state.outside.take()
        };
        if let Some(outside) = outside {
            outside.wake();
        }
    }

    fn start(&self, host: u32, task: BoxFuture<'static, ()>) -> u64 {
        let mut state = self.0.lock();
        let id = state.next;
        state.next += 1;
        let waker = Waker::from(Arc::new(Wakes { tasks: Arc::downgrade(&self.0), id }));
        // Tokio's budget ends with its own tasks; here it would never be given anew.
        let future: BoxFuture<'static, ()> = Box::pin(tokio::task::unconstrained(task));
        state.tasks.insert(id, Entry { host, future: Some(future), waker, queued: true });
        state.ready.push(id);
        let outside = state.outside.take();
        drop(state);
        if let Some(outside) = outside {
            outside.wake();
        }
        id
    }

    fn abort(&self, id: u64) {
        let aborted = {
            let mut state = self.0.lock();
            state.ready.retain(|other| *other != id);
            state.tasks.remove(&id)
        };
        drop(aborted);
    }
}

impl State {
    fn pick(&mut self) -> Option<u64> {
        let at = if self.paused.is_empty() {
            if self.ready.is_empty() {
                return None;
            }
            self.dice.as_mut().map_or(0, |dice| dice.below(self.ready.len()))
        } else {
            let stands = |id: &u64| self.tasks.get(id).is_some_and(|task| self.paused.contains(&task.host));
            let able: Vec<usize> = (0..self.ready.len()).filter(|at| !stands(&self.ready[*at])).collect();
            *able.get(self.dice.as_mut().map_or(0, |dice| dice.below(able.len())))?
        };
        Some(self.ready.remove(at))
    }
}

struct Starter {
    tasks: Tasks,
    host: u32,
    at_once: bool,
}

impl Executor for Starter {
    fn steps(&self) -> bool {
        !self.at_once
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) -> Task {
        let id = self.tasks.start(self.host, task);
        if self.at_once && !Tasks::inside() {
            self.tasks.0.lock().ready.retain(|other| *other != id);
            self.tasks.poll(id);
        }
        let tasks = Arc::downgrade(&self.tasks.0);
        Task::Executor(Box::new(move || {
            if let Some(inner) = tasks.upgrade() {
                Tasks(inner).abort(id);
            }
        }))
    }
}
