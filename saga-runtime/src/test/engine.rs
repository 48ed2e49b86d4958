//! The test engine.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use saga_store::{Query, RunView, Timestamp};

use super::call::Call;
use super::rig::Rig;
use super::setup::TestSetup;
use super::world::{NEVER, World};
use crate::activity::Activity;
use crate::call::WorkflowCall;
use crate::client::{Client, Outcome, RunHandle};
use crate::engine::{Engine, EngineBuilder};
use crate::erased::AnyStore;
use crate::history::{History, describe};
use crate::memory::MemoryStore;
use crate::state::States;
use crate::workflow::Workflow;
use saga_store::wire::{Conclusion, Entry};

/// An engine for tests: everything in memory, in virtual time, on the test's own thread.
///
/// Time is a number. It moves only while the test waits for something of this engine
/// ([`run`](Self::run), [`outcome`](Self::outcome), [`advance`](Self::advance)), and only when
/// nothing else can happen: every attempt has ended, or waits for virtual time, or is mocked to
/// hang. So a year's sleep takes no time, and no timeout races with work. While an activity's own
/// code is at work (it may wait for a socket, or for tokio's clock) virtual time stands; one that
/// never ends stops the test, and is to be mocked.
///
/// Two tests with the same [`seed`](TestSetup::seed) see the same ids, random values and times.
///
/// ```standalone_crate
/// use saga_runtime::prelude::*;
/// use saga_runtime::test::TestEngine;
///
/// #[activity(compensate = refund(cents))]
/// pub async fn charge(cents: u64) -> saga_runtime::Result<()> {
///     Err(saga_runtime::Error::msg(format!("no gateway in a test, for {cents}")).permanent())
/// }
///
/// #[activity]
/// pub async fn refund(_cents: u64) -> saga_runtime::Result<()> {
///     Ok(())
/// }
///
/// #[workflow]
/// pub async fn pay(cents: u64) -> saga_runtime::Result<u64> {
///     charge(cents).await?;
///     sleep(std::time::Duration::from_secs(365 * 86_400)).await;
///     Err(saga_runtime::Error::msg("nobody came for it").permanent())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let env = TestEngine::new().mock::<charge>(|_input| Ok(())).start().await;
/// let outcome = env.run(pay(7)).await;
/// assert!(matches!(outcome, Outcome::Failed(_)));
/// env.assert_undone::<charge>();
/// assert_eq!(env.calls::<refund>()[0].input._cents, 7);
/// # }
/// ```
pub struct TestEngine {
    pub(super) world: World,
    pub(super) store: MemoryStore,
    pub(super) rig: Rig,
    engine: Option<Engine>,
    pub(super) states: States,
    configure: Vec<Box<dyn Fn(EngineBuilder) -> EngineBuilder + Send + Sync>>,
    seed: u64,
    life: u32,
}

impl TestEngine {
    /// Begins to set one up.
    #[expect(clippy::new_ret_no_self, reason = "the setup comes first, and ends in the engine")]
    pub fn new() -> TestSetup {
        TestSetup::new()
    }

    pub(super) async fn start(setup: TestSetup, world: World) -> Self {
        let mut env = Self::prepare(setup, world);
        let store = env.store.clone();
        env.live(store).await;
        env
    }

    /// All but the engine itself.
    pub(super) fn prepare(setup: TestSetup, world: World) -> Self {
        let time = world.time.clone();
        let store = MemoryStore::with_clock(move || time.now());
        let TestSetup { states, mocks, seed, configure, watch, .. } = setup;
        let seed = seed.unwrap_or_default();
        let rig = Rig::new(world.clone(), states.clone(), mocks, watch);
        let looked_at = store.clone();
        world.describe_by(move || open_runs(&looked_at));
        Self { world, store, rig, engine: None, states, configure, seed, life: 0 }
    }

    /// Begins the next life of the engine.
    pub(super) async fn live(&mut self, store: impl AnyStore) {
        let surroundings = TestSetup::surroundings(self.seed, self.life, &self.world, &self.rig);
        let builder = EngineBuilder::new(Arc::new(store)).states(self.states.clone()).within(surroundings);
        let builder = self.configure.iter().fold(builder, |builder, configure| configure(builder));
        let builder = builder.name("test").build_id("test").heartbeat(NEVER, NEVER);
        match builder.start().await {
            Ok(engine) => self.engine = Some(engine),
            Err(error) => panic!("the test engine does not start: {error}"),
        }
    }

    /// A client: starts runs with all options, sends events, lists, cancels.
    ///
    /// # Panics
    ///
    /// After [`crash`](Self::crash), until [`recover`](Self::recover).
    pub fn client(&self) -> &Client {
        match &self.engine {
            Some(engine) => engine.client(),
            None => panic!("the engine has crashed: call `recover` first"),
        }
    }

    /// Starts a run and waits for its end.
    ///
    /// # Panics
    ///
    /// If the run can never end: it waits for an event that nobody sends, say.
    pub async fn run<W: Workflow>(&self, call: WorkflowCall<W>) -> Outcome<W::Output, W::Error> {
        let run = self.start_run(call).await;
        self.outcome(&run).await
    }

    /// Starts a run; it begins when the test next waits for something of this engine.
    ///
    /// # Panics
    ///
    /// If its input cannot be recorded.
    pub async fn start_run<W: Workflow>(&self, call: WorkflowCall<W>) -> RunHandle<W> {
        match self.client().start(call).await {
            Ok(run) => run,
            Err(error) => panic!("the run of `{}` does not start: {error}", W::NAME),
        }
    }

    /// Waits for the end of a run, also of one that was started before a crash.
    ///
    /// # Panics
    ///
    /// If the run can never end.
    pub async fn outcome<W: Workflow>(&self, run: &RunHandle<W>) -> Outcome<W::Output, W::Error> {
        let mut last = run.execution();
        let conclusion = self
            .world
            .until(|| {
                let view = AnyStore::get_execution(&self.store, last).now_or_never()?.ok()??;
                let conclusion = view.conclusion.filter(|_| view.state.is_final())?;
                match saga_store::wire::decode(&conclusion) {
                    Ok(Conclusion::Continued { next }) => {
                        last = next;
                        None
                    }
                    _ => Some(conclusion),
                }
            })
            .await;
        let conclusion = saga_store::wire::decode(&conclusion).map_err(|error| error.to_string());
        let outcome = match conclusion {
            Ok(mut conclusion) => crate::externalize::internalize_conclusion(&self.store, last, &mut conclusion)
                .await
                .map_err(|error| error.to_string())
                .and_then(|()| Outcome::from_conclusion(&conclusion).map_err(|error| error.to_string())),
            Err(error) => Err(error),
        };
        match outcome {
            Ok(outcome) => outcome,
            Err(error) => panic!("how run {} ended cannot be read: {error}", run.id()),
        }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.world.time.now()
    }

    /// Lets everything happen that can without time moving.
    pub async fn settle(&self) {
        self.world.until_moment(self.now()).await;
    }

    /// Lets this much time pass, with all that happens in it.
    pub async fn advance(&self, time: Duration) {
        self.world.until_moment(self.now().after(time)).await;
    }

    /// Lets things happen until an activity has been called `times` times: the cue to send an
    /// event, or to crash.
    ///
    /// # Panics
    ///
    /// If that never comes.
    pub async fn until_called<A: Activity>(&self, times: usize) {
        self.world.until(|| (self.called(A::NAME) >= times).then_some(())).await;
    }

    /// Kills the engine where it stands, as a power cut does. The store stays.
    pub fn crash(&mut self) {
        self.world.tasks.kill(self.life);
        self.engine = None;
        self.store.crash();
        self.life += 1;
    }

    /// Starts the engine again after a [`crash`](Self::crash): it takes up what was left.
    pub async fn recover(&mut self) {
        if self.engine.is_none() {
            let store = self.store.clone();
            self.live(store).await;
        }
    }

    /// All attempts of an activity, in the order in which they began.
    ///
    /// # Panics
    ///
    /// If what was recorded cannot be read back as this type.
    pub fn calls<A: Activity>(&self) -> Vec<Call<A>> {
        self.rig.calls().iter().filter(|call| call.activity == A::NAME).map(Call::of).collect()
    }

    /// The names of all activities that were called, in the order in which the attempts began.
    pub fn log(&self) -> Vec<&'static str> {
        self.rig.calls().iter().map(|call| call.activity).collect()
    }

    pub(super) fn called(&self, activity: &str) -> usize {
        self.rig.calls().iter().filter(|call| call.activity == activity).count()
    }

    /// What the journal of a run says. Its name is [`RunHandle::id`].
    ///
    /// # Panics
    ///
    /// If there is no such run.
    pub fn history(&self, id: impl AsRef<str>) -> History {
        let id = id.as_ref();
        let history = self.histories().into_iter().find(|history| history.run == id);
        history.unwrap_or_else(|| panic!("there is no run `{id}`"))
    }

    /// The journals of all runs, in the order of their starts.
    pub fn histories(&self) -> Vec<History> {
        let mut views = views(&self.store);
        views.reverse();
        let read = |view: &RunView| {
            let client = Client::new(self.store.clone());
            let details = client.show(view.id.as_str()).now_or_never()?.ok()?;
            details.history().ok()
        };
        views.iter().filter_map(read).collect()
    }
}

impl Drop for TestEngine {
    fn drop(&mut self) {
        // Tasks hold what starts tasks: they would keep one another.
        self.world.tasks.kill(self.life);
    }
}

fn views(store: &MemoryStore) -> Vec<RunView> {
    let all = Query { limit: 1000, ..Query::default() };
    AnyStore::list(store, &all).now_or_never().and_then(Result::ok).map(|page| page.runs).unwrap_or_default()
}

/// The runs that have not ended, with the last that their journals say.
fn open_runs(store: &MemoryStore) -> String {
    let open = views(store).into_iter().filter(|view| !view.state.is_final());
    let lines = open.map(|view| {
        let loaded = AnyStore::load(store, &[view.execution]).now_or_never().and_then(Result::ok);
        let rows = loaded.and_then(|mut runs| runs.pop()).map(|run| run.journal).unwrap_or_default();
        let records = saga_store::wire::join_rows(&rows).unwrap_or_default();
        let waits =
            records.iter().flat_map(|record| &record.entries).rfind(|entry| matches!(entry, Entry::EventAwaited(..)));
        let last = waits.or_else(|| records.last().and_then(|record| record.entries.last())).map(describe);
        format!("\n  run {} is {}; its journal: {}", view.id, view.state, last.unwrap_or_default())
    });
    lines.collect()
}

impl Debug for TestEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestEngine").field("now", &self.now()).field("calls", &self.log()).finish_non_exhaustive()
    }
}
