//! Setting up an engine: what it is given, and what is checked before it starts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use saga_store::{BuildId, Incarnation, Timestamp};
use tokio::sync::Notify;

use super::attempt::AttemptEnvironment;
use super::committer::Committer;
use super::letterbox::Post;
use super::limits::{Limit, Limits};
use super::live::LiveRuns;
use super::messenger::Messenger;
use super::queues::Queues;
use super::sessions::Sessions;
use super::shared::Shared;
use super::start_error::StartError;
use super::surroundings::Surroundings;
use super::tally::Counts;
use super::unanswered::Unanswered;
use super::{Engine, heart, intake, post, reconcile, resolve, retention};
use crate::activity::{ActivityDefinition, Common};
use crate::client::{Client, StartLayers};
use crate::codec::{Codec, Encoder};
use crate::endings::Endings;
use crate::erased::AnyStore;
use crate::errand;
use crate::layer::Layers;
use crate::registry::Registry;
use crate::session;
use crate::state::States;
use crate::workflow::Workflow;

/// What an engine is set up with. See [`Engine::builder`].
#[must_use = "an engine does nothing until it is started: add `.start().await`"]
pub struct EngineBuilder {
    store: Arc<dyn AnyStore>,
    states: States,
    pub(super) layers: Layers,
    pub(super) start_layers: Option<Arc<StartLayers>>,
    only: Option<BTreeSet<(&'static str, u32)>>,
    queues: BTreeSet<String>,
    name: String,
    pub(super) max_runs: usize,
    pub(super) max_history: u64,
    pub(super) max_deaths: u32,
    pub(super) max_attempts: Option<usize>,
    pub(super) limits: BTreeMap<&'static str, Limit>,
    pub(super) not_limited: Vec<&'static str>,
    pub(super) queue_limits: BTreeMap<String, Limit>,
    pub(super) session_limits: BTreeMap<String, usize>,
    grace: Duration,
    beat: Duration,
    lease: Duration,
    slow_poll: Option<Duration>,
    pub(super) retention: Option<Duration>,
    encoder: Encoder,
    build: Option<String>,
    machine_clock: Option<Timestamp>,
    surroundings: Option<Surroundings>,
}

impl EngineBuilder {
    pub(crate) fn new(store: Arc<dyn AnyStore>) -> Self {
        Self {
            store,
            states: States::default(),
            layers: Layers::standard(),
            start_layers: None,
            only: None,
            queues: BTreeSet::new(),
            name: String::new(),
            max_runs: 10_000,
            max_history: 100_000,
            max_deaths: 5,
            max_attempts: None,
            limits: BTreeMap::new(),
            not_limited: Vec::new(),
            queue_limits: BTreeMap::new(),
            session_limits: BTreeMap::new(),
            grace: Duration::from_secs(10),
            beat: Duration::from_secs(3),
            lease: Duration::from_secs(12),
            slow_poll: None,
            retention: None,
            encoder: Encoder::default(),
            build: None,
            machine_clock: None,
            surroundings: None,
        }
    }

    /// What this machine's clock says when the engine starts, if not the truth: for tests.
    #[doc(hidden)]
    pub fn machine_clock(mut self, says: Timestamp) -> Self {
        self.machine_clock = Some(says);
        self
    }

    /// Puts a test in the place of the process.
    #[cfg(any(test, feature = "test"))]
    pub(crate) fn within(mut self, surroundings: Surroundings) -> Self {
        self.surroundings = Some(surroundings);
        self
    }

    /// Gives all values that activities take.
    #[cfg(feature = "test")]
    pub(crate) fn states(mut self, states: States) -> Self {
        self.states = states;
        self
    }

    /// Gives a value that activities take as `#[state] name: &T`. One value a type; a second one
    /// of the same type replaces the first.
    pub fn state<T: Send + Sync + 'static>(self, value: T) -> Self {
        self.shared_state(Arc::new(value))
    }

    /// The same for a value that others share.
    pub fn shared_state<T: Send + Sync + 'static>(mut self, value: Arc<T>) -> Self {
        self.states.insert(value);
        self
    }

    /// Drives this workflow only, and any others named so; without it, all that are linked in.
    /// A state type that its activities lack is then found at their first call, not at the start.
    pub fn only<W: Workflow>(mut self) -> Self {
        self.only.get_or_insert_default().insert((W::NAME, W::VERSION));
        self
    }

    /// Serves these queues as well: takes activities that other processes' workflows send there, by
    /// `#[activity(queue = "…")]` or `.queue("…")` at the call, as far as they are linked in. See
    /// [`only_activities`](Self::only_activities) for a worker that does nothing else.
    ///
    /// Each taken activity is a small run of its own (an errand) with the retries, the timeouts and
    /// the limits of this process; it counts in [`max_runs`](Self::max_runs). If this worker dies
    /// another one that serves the queue takes it over, and attempts it again under the same
    /// idempotency key. All workers' queues are one: they take from it what they have room for.
    ///
    /// ```standalone_crate
    /// use saga_runtime::prelude::*;
    /// use saga_runtime::{Engine, MemoryStore};
    ///
    /// #[activity(queue = "gpu")]
    /// async fn render(scene: String) -> saga_runtime::Result<String> {
    ///     Ok(format!("{scene}.png"))
    /// }
    ///
    /// #[workflow]
    /// async fn film(scene: String) -> saga_runtime::Result<String> {
    ///     Ok(render(scene).await?)
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let store = MemoryStore::new();
    /// let gpu = Engine::builder(store.clone()).queues(["gpu"]).only_activities().start().await?;
    /// let engine = Engine::builder(store).start().await?;
    /// let run = engine.client().start(film("dawn".to_owned())).await?;
    /// assert_eq!(run.result().await?, "dawn.png");
    /// # engine.shutdown().await;
    /// # gpu.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn queues<Q: Into<String>>(mut self, queues: impl IntoIterator<Item = Q>) -> Self {
        self.queues.extend(queues.into_iter().map(Into::into));
        self
    }

    /// Drives no workflows: this worker makes attempts for its [`queues`](Self::queues) only, and
    /// starts runs for others to drive. A workflow named by [`only`](Self::only) is driven all the
    /// same.
    pub fn only_activities(mut self) -> Self {
        self.only.get_or_insert_default();
        self
    }

    /// What operators call this worker. Not unique, and nothing relies on it.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// How long attempts that are told to stop may take to end by themselves, at a cancel, a timeout or
    /// a shutdown ([`ActivityContext::cancelled`](crate::ActivityContext::cancelled)); and how long
    /// [`Engine::shutdown`] lets all others end. Default: 10 s.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How often the worker says that it lives, and after which silence others may take its runs.
    /// Default: 3 s and 12 s. The lease is at least three beats.
    pub fn heartbeat(mut self, beat: Duration, lease: Duration) -> Self {
        self.beat = beat;
        self.lease = lease.max(beat * 3);
        self
    }

    /// How often the worker looks for due runs though nothing says that there are any: what it would
    /// find late if a hint of another process, or a client, were lost. Default: 10 s; three statements
    /// each time. A third as often it asks the store which runs it owns, and takes up or drops what
    /// differs from those that it drives.
    pub fn slow_poll(mut self, every: Duration) -> Self {
        self.slow_poll = Some(every);
        self
    }

    /// Writes values in this format. Default: JSON. Each payload says its format, so that workers of
    /// one store may differ, and the choice can change while runs live. See [`Codec`].
    ///
    /// It costs nothing by itself; how much a value costs to write and to keep depends on the format.
    /// The engine's own client writes so as well; a [`Client`](crate::Client) elsewhere is told with
    /// [`Client::codec`](crate::Client::codec).
    ///
    /// ```
    /// # use saga_runtime::{Codec, Engine, MemoryStore};
    /// # fn main() {
    /// // `Codec::MessagePack`, with the feature `msgpack`.
    /// let builder = Engine::builder(MemoryStore::new()).codec(Codec::Json);
    /// # drop(builder);
    /// # }
    /// ```
    pub fn codec(mut self, codec: Codec) -> Self {
        self.encoder.codec = codec;
        self
    }

    /// The largest value that is recorded, in bytes as written: an input, an output, an error, an
    /// event, a status. Default: 2 MB ([`PAYLOAD_LIMIT`](crate::PAYLOAD_LIMIT)). Values over 64 KiB are
    /// kept beside the journal, each in a row of its own, so that the largest limit is what the
    /// database takes in one row; replay reads all of a run's values.
    ///
    /// What is larger is an error that names the type, the size and the limit: of the start or the
    /// send, for what a client gives; of the step, the child or the `send`, for what a workflow
    /// gives; and of the attempt, which is repeated as its policy says, for what an activity returns.
    /// A status, a side effect or a workflow's result that is too large makes the run dead, to be
    /// repaired under a higher limit. That a workflow was refused something is recorded, and what was
    /// recorded is not refused any more, so that runs go on when the limit changes.
    pub fn payload_limit(mut self, bytes: usize) -> Self {
        self.encoder.limit = bytes;
        self
    }

    /// Names what this worker was built from, in place of its executable's digest.
    pub fn build_id(mut self, build: impl Into<String>) -> Self {
        self.build = Some(build.into());
        self
    }

    /// Checks that all fits, joins the store and begins to drive runs, first those that were
    /// left. Must be called within a tokio runtime.
    pub async fn start(mut self) -> Result<Engine, StartError> {
        let surroundings = self.surroundings.take().unwrap_or_else(|| Surroundings::real(self.machine_clock));
        let Surroundings { clock, entropy, spawner, calls, registry, strict, slow_poll, watching, stage } =
            surroundings;
        let slow_poll = self.slow_poll.unwrap_or(slow_poll);
        if stage.is_some() {
            // A test is all processes in one.
            let queues = registry.activities().filter_map(|definition| definition.options.queue);
            self.queues.extend(queues.map(str::to_owned));
        }
        let served = self.check(&registry, strict)?;
        let build = BuildId(self.build.unwrap_or_else(executable_build).into());
        let candidate = heart::Candidate {
            store: &*self.store,
            clock: &*clock,
            entropy: &entropy,
            name: &self.name,
            build: &build,
            lease: self.lease,
        };
        let (membership, joined) = candidate.join().await?;
        let counts = Arc::<Counts>::default();
        let (committer, committing) = Committer::new(&self.store, &clock, &spawner, &counts);
        let common = Common {
            states: self.states,
            encoder: self.encoder,
            courier: Messenger::courier(&self.store, &clock, &spawner),
            clock: Arc::clone(&clock),
            grace: self.grace,
        };
        let environment = AttemptEnvironment {
            common: Arc::new(common),
            layers: self.layers.around_code(stage.clone()),
            limits: Limits::new(self.max_attempts, &self.limits, &self.queue_limits),
            stage,
            store: Arc::clone(&self.store),
        };
        let resolve = {
            let (registry, kind) = (Arc::clone(&registry), self.store.kind());
            Arc::new(move |name: &str| registry.activity(name, kind))
        };
        let workflows = {
            let registry = Arc::clone(&registry);
            Arc::new(move |name: &str, version| registry.workflow(name, version))
        };
        let (letterbox, letters) = Post::new();
        let queues = Arc::new(Queues::new(&served, &self.queue_limits, &self.session_limits));
        let shared = Arc::new(Shared {
            store: self.store,
            clock,
            spawner: spawner.clone(),
            entropy,
            endings: Arc::new(Endings::default()),
            registry,
            served,
            resolve,
            workflows,
            environment: Arc::new(environment),
            committer,
            live: LiveRuns::new(self.max_runs),
            look_at_all: Notify::new(),
            queues,
            sessions: Sessions::default(),
            counts,
            post: letterbox,
            unanswered: Unanswered::default(),
            name: self.name,
            membership: RwLock::new(Arc::new(membership)),
            doubt: Notify::new(),
            build,
            lease: self.lease,
            beat: self.beat,
            slow_poll,
            history_limit: self.max_history,
            max_deaths: self.max_deaths,
            ward: Arc::default(),
            grace: self.grace,
            stopping: AtomicBool::new(false),
        });
        let client = Client::local(
            &shared.store,
            &shared.clock,
            &calls,
            &shared.entropy,
            &shared.endings,
            watching,
            Arc::new(Arc::clone(&shared)),
        )
        .encoding(self.encoder)
        .through(self.start_layers);
        let adopting = take_up(Arc::clone(&shared), joined.proven_dead);
        let mut tasks: Vec<_> = committing.map(|lane| spawner.spawn(lane)).collect();
        tasks.extend([spawner.spawn(adopting), spawner.spawn(heart::beat_loop(Arc::clone(&shared)))]);
        tasks.push(spawner.spawn(post::work(Arc::clone(&shared), letters)));
        tasks.push(spawner.spawn(reconcile::work(Arc::clone(&shared))));
        tasks.push(spawner.spawn(resolve::work(Arc::clone(&shared))));
        tasks.extend(self.retention.map(|keep| spawner.spawn(retention::work(Arc::clone(&shared), keep))));
        Ok(Engine { shared, client, tasks })
    }

    /// Everything that is wrong, named in one error.
    fn check(&self, registry: &Registry, strict: bool) -> Result<Vec<(String, u32)>, StartError> {
        let mut problems = Vec::new();
        let not_limited = |name| {
            format!(
                "activity `{name}` writes through the store's transaction: it takes its turn with the commits and cannot be limited"
            )
        };
        problems.extend(self.not_limited.iter().map(not_limited));
        problems.extend(self.queues.iter().filter_map(|queue| errand::check_queue(queue).err()));
        let limited = self.queue_limits.keys().chain(self.session_limits.keys());
        let not_served = limited.filter(|queue| !self.queues.contains(*queue));
        problems.extend(not_served.map(|queue| {
            format!("the queue `{queue}` is limited and not served: add `.queues([{queue:?}])`, or leave the limit out")
        }));
        let kind = self.store.kind();
        let mut by_name: BTreeMap<&str, Vec<&ActivityDefinition>> = BTreeMap::new();
        for definition in registry.activities().filter(|definition| definition.is_module_level()) {
            by_name.entry(definition.name).or_default().push(definition);
        }
        for (name, definitions) in &by_name {
            let fitting: Vec<_> = definitions.iter().filter(|definition| definition.fits(kind)).collect();
            match fitting.as_slice() {
                [] => problems.push(format!(
                    "activity `{name}` writes through a store's transaction, but has no definition for a `{kind}` store"
                )),
                // Narrowed to some workflows, an engine cannot know which activities they call.
                [one] if self.only.is_none() || self.serves(one) => self.check_states(one, &mut problems),
                [_] => {}
                many => problems.push(format!(
                    "activity `{name}` is defined {} times: {}",
                    many.len(),
                    modules(many.iter().map(|d| d.module))
                )),
            }
        }
        let mut served: BTreeMap<(&str, u32), Vec<&str>> = BTreeMap::new();
        for (name, workflow) in registry.workflows() {
            let (key, own) = ((name, workflow.version), (workflow.name, workflow.version));
            if self.only.as_ref().is_none_or(|only| only.contains(&own)) {
                let modules = served.entry(key).or_default();
                if workflow.is_module_level() {
                    modules.push(workflow.module);
                }
            }
        }
        for ((name, version), declared) in &served {
            if declared.len() > 1 {
                problems.push(format!(
                    "workflow `{name}` of version {version} is defined {} times: {}",
                    declared.len(),
                    modules(declared.iter().copied())
                ));
            }
        }
        if problems.is_empty() || !strict {
            let workflows = served.into_keys().map(|(name, version)| (name.to_owned(), version));
            Ok(workflows.chain(self.errands(registry)).collect())
        } else {
            Err(StartError::setup(problems))
        }
    }

    /// Whether an activity of a queue runs here.
    fn serves(&self, definition: &ActivityDefinition) -> bool {
        definition.options.queue.is_some_and(|queue| self.queues.contains(queue))
    }

    /// The workflows of what this worker does for others: each of its queues with each activity
    /// that it has all for.
    fn errands(&self, registry: &Registry) -> Vec<(String, u32)> {
        let kind = self.store.kind();
        let ready = |name: &&str| {
            registry
                .activity(name, kind)
                .is_some_and(|found| (found.states)().iter().all(|state| self.states.contains(state.id)))
        };
        let names: BTreeSet<&str> = registry.activities().map(|definition| definition.name).collect();
        let names: Vec<&str> = names.into_iter().filter(ready).collect();
        let queue = |queue: &String| -> Vec<_> {
            let session = (session::workflow(queue), session::VERSION);
            let errands = names.iter().map(|name| (errand::workflow(queue, name), errand::VERSION));
            errands.chain([session]).collect()
        };
        self.queues.iter().flat_map(queue).collect()
    }

    fn check_states(&self, definition: &ActivityDefinition, problems: &mut Vec<String>) {
        for state in (definition.states)() {
            if !self.states.contains(state.id) {
                problems.push(format!(
                    "activity `{}` ({}) takes state of type `{}`, which the engine was not given: add `.state(…)`",
                    definition.name, definition.module, state.name
                ));
            }
        }
    }
}

impl fmt::Debug for EngineBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineBuilder").field("store", &self.store.kind()).finish_non_exhaustive()
    }
}

/// Takes over the runs of workers that are dead, then what is ready.
async fn take_up(shared: Arc<Shared>, dead: Vec<Incarnation>) {
    for dead in dead {
        if let Err(error) = intake::adopt(&shared, dead).await {
            tracing::warn!(%error, worker = %dead, "its runs cannot be taken over now");
        }
    }
    intake::claim_loop(shared).await;
}

fn modules<'a>(modules: impl Iterator<Item = &'a str>) -> String {
    modules.collect::<Vec<_>>().join(", ")
}

/// The size and the time of the executable: what changes with each build.
fn executable_build() -> String {
    let metadata = std::env::current_exe().and_then(std::fs::metadata);
    let stamp = metadata.ok().and_then(|metadata| {
        let modified = metadata.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(format!("{}-{}", metadata.len(), modified.as_nanos()))
    });
    stamp.unwrap_or_else(|| "unknown".to_owned())
}
