//! The whole engine in simulation: several workers, clients and a store on one thread, in virtual
//! time, with the next task and every fault drawn from a seed. For the framework's own tests: no
//! promise is made about it.
//!
//! After each commit the run's journal is held against the rules of the engine, and before each
//! attempt whether it may begin. In the end every run has ended, and what was to be undone is.

mod bug;
mod log;
mod node;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use saga_store::{Hint, Query, RunState, RunView, Timestamp};

pub use bug::Bug;
use log::Log;
use node::{Node, Parts};

use super::dice::Dice;
use super::executor::Tasks;
use super::rules;
use super::world::World;
use crate::client::Client;
use crate::clock::Clock;
use crate::engine::{Engine, EngineBuilder, Surroundings};
use crate::entropy::Entropy;
use crate::erased::{AnyStore, BoxFuture};
use crate::history::History;
use crate::machine::planted::{self, Planted};
use crate::memory::MemoryStore;
use crate::registry::Registry;

/// Starts a run of this id, and waits for its end.
pub type Start = fn(Client, String) -> BoxFuture<'static, bool>;

/// What a simulation runs: its workflows, and what clients send to them.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// Starts a run of this id if it is not there, and waits for its end; false if that failed
    /// and is to be tried again.
    pub start: &'static [Start],
    /// Sends an event to a run of this id.
    pub send: Start,
    /// What an operator does to a run of this id, now this, now that.
    pub operate: &'static [Start],
    /// Takes back what an operator did that keeps the run from its end.
    pub release: Start,
}

/// What a simulation came to.
#[derive(Debug, Clone)]
pub struct Simulated {
    /// The seed.
    pub seed: u64,
    /// What happened, one line each.
    pub trace: Vec<String>,
    /// What went wrong, if anything did.
    pub broken: Option<String>,
    /// How the runs ended.
    pub ends: BTreeMap<String, usize>,
}

impl fmt::Display for Simulated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let broken = self.broken.as_deref().unwrap_or("nothing is broken");
        let last = self.trace.len().saturating_sub(150);
        writeln!(f, "seed {}: {broken}\nthe last {} events:", self.seed, self.trace.len() - last)?;
        write!(f, "{}", self.trace[last..].join("\n"))
    }
}

const WORKERS: usize = 3;
const CLIENT: u32 = 1_000_000;
/// How long things go wrong, and how long a run may take after that: longer than any timeout.
const TROUBLE: Duration = Duration::from_secs(100);
const PATIENCE: Duration = Duration::from_secs(4 * 3600);

/// After so long what an operator has asked for in the trouble has come, or never will: a run that is
/// suspended then is resumed.
const LATE: Duration = Duration::from_secs(30);

/// What is done to the processes from outside.
#[derive(Debug, Clone, Copy)]
enum Blow {
    Kill(usize),
    Pause(usize, Duration),
    Resume(usize, Duration),
    Cancel(usize),
    Send(usize),
    Operate(usize, usize),
    Release(usize),
    Hint,
    Quiet,
}

struct Worker {
    node: Node,
    engine: Arc<Mutex<Option<Engine>>>,
}

struct Simulation {
    world: World,
    log: Log,
    store: MemoryStore,
    bug: Option<Bug>,
    seed: u64,
    hosts: u32,
    workers: Vec<Worker>,
    blows: BTreeMap<(Timestamp, usize), Blow>,
}

/// Plays one simulation to its end.
pub fn simulate(scenario: Scenario, seed: u64, bug: Option<Bug>) -> Simulated {
    let begin = Timestamp::from_micros(1_767_225_600_000_000);
    let mut dice = Dice::new(seed);
    let world = World::new(begin, Tasks::new(Some(Dice::new(dice.word()))));
    let time = world.time.clone();
    let store = MemoryStore::with_clock(move || time.now());
    let log = Log::new(world.time.clone(), Dice::new(dice.word()));
    let (workers, blows) = (Vec::new(), BTreeMap::new());
    let mut simulation = Simulation { world, log, store, bug, seed, hosts: 0, workers, blows };
    let runs = 3 + dice.below(6);
    planted::plant(match bug {
        Some(Bug::UndoOrderReversed) => Some(Planted::UndoOrderReversed),
        Some(Bug::ClaimTrusted) => Some(Planted::ClaimTrusted),
        _ => None,
    });
    simulation.draw_blows(&mut dice, begin, runs);
    for _ in 0..WORKERS {
        let worker = simulation.boot();
        simulation.workers.push(worker);
    }
    let client = simulation.client();
    for run in 0..runs {
        let start = scenario.start[dice.below(scenario.start.len())];
        let after = Duration::from_millis(dice.below(60_000) as u64);
        simulation.drive_client(start, client.clone(), format!("run-{run}"), 1_000, after);
    }
    let broken = simulation.play(scenario, &client, runs);
    let mut ends = BTreeMap::new();
    for run in 0..runs {
        let state = simulation.view(run).map_or("missing", |view| view.state.as_str());
        *ends.entry(state.to_owned()).or_default() += 1;
    }
    simulation.stop();
    planted::plant(None);
    Simulated { seed, trace: simulation.log.trace(), broken, ends }
}

impl Simulation {
    fn draw_blows(&mut self, dice: &mut Dice, begin: Timestamp, runs: usize) {
        let trouble = usize::try_from(TROUBLE.as_millis()).unwrap_or(1);
        let count = 4 + dice.below(12);
        for number in 0..count {
            let at = begin.after(Duration::from_millis(dice.below(trouble) as u64));
            let blow = match dice.below(10) {
                0 | 1 => Blow::Kill(dice.below(WORKERS)),
                // Shorter than a lease, or longer.
                2 | 3 => Blow::Pause(dice.below(WORKERS), Duration::from_millis(dice.below(40_000) as u64)),
                4 => Blow::Cancel(dice.below(runs)),
                5 | 6 => Blow::Send(dice.below(runs)),
                7 | 8 => Blow::Operate(dice.below(runs), dice.below(1_000)),
                _ => Blow::Hint,
            };
            self.blows.insert((at, number), blow);
        }
        for run in 0..runs {
            // An event for each run, in the end: those that wait for one shall end.
            let at = begin.after(TROUBLE + Duration::from_secs(60 + run as u64));
            self.blows.insert((at, count + run), Blow::Send(run));
            self.blows.insert((begin.after(TROUBLE + LATE), count + run), Blow::Release(run));
        }
        self.blows.insert((begin.after(TROUBLE), usize::MAX), Blow::Quiet);
    }

    fn node(&self, host: u32) -> Node {
        let skew = i64::try_from(self.log.below(600_000_000)).unwrap_or(0) - 300_000_000;
        Node(Arc::new(Parts {
            host,
            world: self.world.clone(),
            log: self.log.clone(),
            store: self.store.clone(),
            bug: self.bug,
            skew: AtomicI64::new(skew),
            stood: AtomicI64::new(0),
            lives: Mutex::default(),
            undone: Mutex::default(),
            lease_until: AtomicI64::new(0),
        }))
    }

    /// Starts a worker in a process of its own.
    fn boot(&mut self) -> Worker {
        static REGISTRY: OnceLock<Arc<Registry>> = OnceLock::new();
        let host = self.hosts;
        self.hosts += 1;
        let node = self.node(host);
        let engine: Arc<Mutex<Option<Engine>>> = Arc::default();
        let (slot, booted, seed) = (Arc::clone(&engine), node.clone(), self.seed);
        self.world.tasks.on(host).spawn(async move {
            loop {
                let clock: Arc<dyn Clock> = Arc::new(booted.clone());
                let surroundings = Surroundings {
                    clock: Arc::clone(&clock),
                    entropy: Arc::new(Entropy::seeded(seed ^ (u64::from(host) << 40))),
                    spawner: booted.0.world.tasks.on(host),
                    calls: booted.0.world.tasks.on(host),
                    registry: Arc::clone(REGISTRY.get_or_init(|| Arc::new(Registry::linked()))),
                    strict: false,
                    slow_poll: Duration::from_secs(10),
                    watching: Duration::from_secs(2),
                    stage: Some(Arc::new(booted.clone())),
                };
                let store = booted.0.store.hooked(Arc::new(booted.clone()));
                let builder = EngineBuilder::new(Arc::new(store)).within(surroundings).build_id("simulated");
                // Many are killed here, for no fault of their runs.
                match builder.max_deaths(1_000).name(format!("worker {host}")).start().await {
                    Ok(engine) => {
                        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(engine);
                        return;
                    }
                    Err(_) => clock.sleep_until(clock.now().after(Duration::from_secs(1))).await,
                }
            }
        });
        Worker { node, engine }
    }

    fn client(&self) -> Client {
        let node = self.node(CLIENT);
        let store = self.store.hooked(Arc::new(node.clone()));
        let entropy = Arc::new(Entropy::seeded(self.seed ^ 0xc11e));
        Client::within(store, Arc::new(node), self.world.tasks.on(CLIENT), entropy)
    }

    /// Does what a client wants, until it succeeds or has been tried so often.
    fn drive_client(&self, call: Start, client: Client, id: String, tries: usize, after: Duration) {
        let (world, log) = (self.world.clone(), self.log.clone());
        self.world.tasks.on(CLIENT).spawn(async move {
            world.time.sleep_until(world.time.now().after(after)).await;
            for _ in 0..tries {
                if call(client.clone(), id.clone()).await {
                    log.say(format!("client: {id} is answered"));
                    return;
                }
                world.time.sleep_until(world.time.now().after(Duration::from_millis(700))).await;
            }
        });
    }

    fn play(&mut self, scenario: Scenario, client: &Client, runs: usize) -> Option<String> {
        let end = self.world.time.now().after(TROUBLE + PATIENCE);
        loop {
            if let Some(broken) = self.log.first_broken() {
                return Some(broken);
            }
            if self.world.tasks.step() {
                continue;
            }
            let now = self.world.time.now();
            if self.log.is_quiet() && self.blows.is_empty() && self.all_ended(runs) {
                return self.audit();
            }
            if now >= end {
                return Some(self.lost(runs));
            }
            let timer = self.world.time.next_due();
            match self.blows.first_key_value() {
                Some(((at, _), _)) if timer.is_none_or(|timer| *at <= timer) => {
                    if let Some(((at, _), blow)) = self.blows.pop_first() {
                        self.world.time.move_to(at);
                        self.strike(blow, scenario, client);
                    }
                }
                _ => match timer {
                    Some(timer) => self.world.time.move_to(timer),
                    None => return Some(self.lost(runs)),
                },
            }
        }
    }

    fn strike(&mut self, blow: Blow, scenario: Scenario, client: &Client) {
        self.log.say(format!("{blow:?}"));
        match blow {
            Blow::Kill(at) => {
                self.end(&self.workers[at]);
                self.workers[at] = self.boot();
            }
            Blow::Pause(at, time) => {
                self.world.tasks.pause(self.workers[at].node.0.host, true);
                self.blows.insert((self.world.time.now().after(time), usize::MAX - 1 - at), Blow::Resume(at, time));
            }
            Blow::Resume(at, time) => {
                let node = &self.workers[at].node;
                node.0.stood.fetch_add(i64::try_from(time.as_micros()).unwrap_or(0), Ordering::Relaxed);
                self.world.tasks.pause(node.0.host, false);
            }
            Blow::Cancel(run) => {
                let cancel: Start = |client, id| {
                    Box::pin(async move { !matches!(client.cancel(id).await, Err(crate::ClientError::Store(_))) })
                };
                self.drive_client(cancel, client.clone(), format!("run-{run}"), 5, Duration::ZERO);
            }
            Blow::Send(run) => {
                self.drive_client(scenario.send, client.clone(), format!("run-{run}"), 5, Duration::ZERO);
            }
            Blow::Operate(run, which) => {
                if let Some(operate) = scenario.operate.get(which % scenario.operate.len().max(1)) {
                    self.drive_client(*operate, client.clone(), format!("run-{run}"), 5, Duration::ZERO);
                }
            }
            Blow::Release(run) => {
                self.drive_client(scenario.release, client.clone(), format!("run-{run}"), 1_000, Duration::ZERO);
            }
            Blow::Hint => self.store.hint(Hint::Anything),
            Blow::Quiet => self.log.quiet(),
        }
    }

    fn end(&self, worker: &Worker) {
        self.world.tasks.pause(worker.node.0.host, false);
        self.world.tasks.kill(worker.node.0.host);
        drop(worker.engine.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn stop(&self) {
        self.workers.iter().for_each(|worker| self.end(worker));
        self.world.tasks.kill(CLIENT);
    }

    fn view(&self, run: usize) -> Option<saga_store::RunView> {
        let id = saga_store::RunId::new(format!("run-{run}")).ok()?;
        AnyStore::get(&self.store, &id).now_or_never()?.ok()?
    }

    fn all_ended(&self, runs: usize) -> bool {
        let final_state = |view: &RunView| view.state.is_final();
        (0..runs).all(|run| self.view(run).is_some_and(|view| final_state(&view)))
            && self.views().iter().all(final_state)
    }

    /// All executions, those of children and those that went on as new too.
    fn views(&self) -> Vec<RunView> {
        let all = Query { limit: 1_000, ..Query::default() };
        AnyStore::list(&self.store, &all).now_or_never().and_then(Result::ok).map(|page| page.runs).unwrap_or_default()
    }

    fn lost(&self, runs: usize) -> String {
        let mut open: Vec<String> =
            self.views().iter().filter(|view| !view.state.is_final()).map(|view| view.id.to_string()).collect();
        open.extend((0..runs).filter(|run| self.view(*run).is_none()).map(|run| format!("run-{run}")));
        format!("rule 10: {} never ends, though all goes well", open.join(", "))
    }

    /// What holds when every run has ended.
    fn audit(&self) -> Option<String> {
        self.views().into_iter().find_map(|view| {
            let (_, rows) = self.store.look(view.execution)?;
            let records = saga_store::wire::join_rows(&rows).ok()?;
            let history = History::of(records).ok()?;
            match view.state {
                RunState::Dead => Some(format!("rule 10: {} is dead: {}", view.id, history.lines().pop()?)),
                RunState::Failed | RunState::Cancelled => {
                    let left = rules::left_over(&history.records);
                    (!left.is_empty())
                        .then(|| format!("rule 6: {} ended, and {} is not undone", view.id, left.join(", ")))
                }
                _ => None,
            }
        })
    }
}
