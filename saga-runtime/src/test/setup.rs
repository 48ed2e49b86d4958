//! What a test engine is set up with.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use saga_store::Timestamp;

use super::dice::Dice;
use super::engine::TestEngine;
use super::executor::Tasks;
use super::rig::{Rig, Watch};
use super::script::{Mock, Script};
use super::world::{NEVER, World};
use crate::activity::Activity;
use crate::engine::{EngineBuilder, Surroundings};
use crate::entropy::Entropy;
use crate::registry::Registry;
use crate::state::States;

/// A test engine about to be started. See [`TestEngine::new`].
#[must_use = "a test engine does nothing until it is started: add `.start().await`"]
pub struct TestSetup {
    pub(super) states: States,
    pub(super) mocks: BTreeMap<&'static str, Mock>,
    pub(super) seed: Option<u64>,
    pub(super) begin: Timestamp,
    pub(super) configure: Vec<Configure>,
    pub(super) watch: Option<Arc<dyn Watch>>,
}

type Configure = Box<dyn Fn(EngineBuilder) -> EngineBuilder + Send + Sync>;

impl TestSetup {
    pub(super) fn new() -> Self {
        Self {
            states: States::default(),
            mocks: BTreeMap::new(),
            seed: None,
            // 2026-01-01T00:00:00Z.
            begin: Timestamp::from_micros(1_767_225_600_000_000),
            configure: Vec::new(),
            watch: None,
        }
    }

    /// Gives a value that activities take as `#[state] name: &T`, as
    /// [`EngineBuilder::state`](crate::EngineBuilder::state) does. Only what is called needs its
    /// state; a test in which one is missing fails, and says which.
    pub fn state<T: Send + Sync + 'static>(self, value: T) -> Self {
        self.shared_state(Arc::new(value))
    }

    /// The same for a value that the test keeps as well.
    pub fn shared_state<T: Send + Sync + 'static>(mut self, value: Arc<T>) -> Self {
        self.states.insert(value);
        self
    }

    /// Answers all attempts of an activity, in place of its own code: its inputs come by name, as
    /// `|charge_payment { cents, .. }| …`. An undo is an activity as well. What an activity is
    /// declared with (its timeout, retries, undo) stays.
    pub fn mock<A: Activity>(self, answer: impl FnMut(A) -> Result<A::Output, A::Error> + Send + 'static) -> Self {
        self.script(Script::new().then(answer))
    }

    /// Says what the attempts of an activity do, one after another.
    pub fn script<A: Activity>(mut self, script: Script<A>) -> Self {
        self.mocks.insert(A::NAME, script.into_mock());
        self
    }

    /// The first attempts of an activity fail so; then its own code runs.
    pub fn fail_times<A: Activity>(self, times: usize, mut error: impl FnMut() -> A::Error + Send + 'static) -> Self {
        self.script(Script::<A>::new().times(times, move |_| Err(error())))
    }

    /// No attempt of an activity ever ends: each runs into its timeout, in virtual time.
    pub fn hang<A: Activity>(self) -> Self {
        self.script(Script::<A>::hangs())
    }

    /// Every attempt of an activity panics with this message.
    pub fn panic<A: Activity>(self, message: impl Into<String>) -> Self {
        self.script(Script::<A>::panics(message.into()))
    }

    /// What ids, `random()`, `new_uuid()` and jitter derive from, and which of several tasks goes on
    /// first. The same seed gives the same of all. Without one, what is ready first goes first.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// When the test begins. Default: the first moment of 2026, UTC.
    pub fn begin_at(mut self, moment: Timestamp) -> Self {
        self.begin = moment;
        self
    }

    /// Sets other options of the engine: `.engine(|engine| engine.max_history(50))`. Heartbeats
    /// are the test's own.
    pub fn engine(mut self, configure: impl Fn(EngineBuilder) -> EngineBuilder + Send + Sync + 'static) -> Self {
        self.configure.push(Box::new(configure));
        self
    }

    /// Starts the engine, on a store in memory.
    ///
    /// # Panics
    ///
    /// If the engine's own check of what is linked in fails.
    pub async fn start(self) -> TestEngine {
        let world = World::new(self.begin, Tasks::new(self.seed.map(Dice::new)));
        TestEngine::start(self, world).await
    }
}

impl TestSetup {
    /// What an engine of this test is given, in its `life`-th life.
    pub(super) fn surroundings(seed: u64, life: u32, world: &World, rig: &Rig) -> Surroundings {
        static REGISTRY: OnceLock<Arc<Registry>> = OnceLock::new();
        Surroundings {
            clock: Arc::new(world.clone()),
            entropy: Arc::new(Entropy::seeded(seed ^ (u64::from(life) << 32))),
            spawner: world.tasks.on(life),
            calls: world.tasks.at_once(life),
            registry: Arc::clone(REGISTRY.get_or_init(|| Arc::new(Registry::linked()))),
            strict: false,
            slow_poll: NEVER,
            watching: NEVER,
            stage: Some(Arc::new(rig.clone())),
        }
    }
}

impl std::fmt::Debug for TestSetup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestSetup").field("mocks", &self.mocks.keys()).field("seed", &self.seed).finish_non_exhaustive()
    }
}
