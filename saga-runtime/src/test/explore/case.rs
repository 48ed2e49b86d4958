//! One case: a run with its disturbances, from its start to its end.

use std::collections::BTreeMap;
use std::sync::Arc;

use saga_store::wire::{Conclusion, decode};

use super::fault::Fault;
use super::places::Places;
use super::plan::Plan;
use crate::codec;
use crate::erased::AnyStore;
use crate::history::History;
use crate::test::dice::Dice;
use crate::test::engine::TestEngine;
use crate::test::executor::Tasks;
use crate::test::setup::TestSetup;
use crate::test::world::World;
use crate::workflow::Workflow;

/// More steps than any sane case takes: one that goes on for ever is found by it.
const MOST_STEPS: usize = 20_000;

/// What is done in a case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) faults: Vec<Fault>,
    /// Which of the answers that are there goes first, at each place where there are several;
    /// none lets all go as they come.
    pub(super) order: Option<Vec<usize>>,
    /// Whether the next of several tasks is drawn: such a case is about more than its places.
    pub(super) drawn: bool,
}

impl Case {
    /// These disturbances, one after another.
    pub(super) fn of(faults: Vec<Fault>) -> Self {
        Self { faults, ..Self::default() }
    }

    /// What is done in it, in words, by which it can be asked for again.
    pub(super) fn name(&self) -> String {
        let mut parts: Vec<String> = self.faults.iter().map(ToString::to_string).collect();
        if let Some(order) = &self.order {
            parts.push(format!("answers of steps side by side in the order {order:?}"));
        }
        if parts.is_empty() { "nothing, the run by itself".to_owned() } else { parts.join(", then ") }
    }
}

/// What was seen of a case.
pub(super) struct Seen {
    /// What was done in it.
    pub(super) case: Case,
    /// How the run ended; none if it never does.
    pub(super) conclusion: Option<Conclusion>,
    /// The journals, the run's own first, those of its children after it.
    pub(super) histories: Vec<History>,
    /// What took effect: by its key the activity and its input.
    pub(super) effects: BTreeMap<String, (&'static str, String)>,
    /// Keys that were used for two different things.
    pub(super) mixed: Vec<String>,
    /// What the test observes, before the run and after it.
    pub(super) observed: [Vec<String>; 2],
    /// Where each disturbance happened, if it did.
    pub(super) fired: Vec<Option<String>>,
    /// Where disturbances could have happened.
    pub(super) places: Places,
    /// How many answers there were to choose from, at each place where there were several.
    pub(super) choices: Vec<usize>,
}

/// How the test describes what it sees of its state.
pub(super) type Observe = Arc<dyn Fn(&TestEngine) -> String + Send + Sync>;

pub(super) struct Stand<'a> {
    pub(super) setup: &'a (dyn Fn() -> TestSetup + Send + Sync),
    pub(super) observe: &'a [Observe],
    pub(super) seed: u64,
}

impl Stand<'_> {
    /// Plays one case.
    pub(super) async fn play<W: Workflow>(&self, input: &saga_store::wire::Payload, case: &Case) -> Seen {
        let plan = Plan::new(case);
        let mut setup = (self.setup)().seed(self.seed);
        setup.watch = Some(Arc::new(plan.clone()));
        let dice = case.drawn.then(|| Dice::new(self.seed));
        let world = World::new(setup.begin, Tasks::new(dice));
        let mut env = TestEngine::prepare(setup, world.clone());
        let before = self.observe(&env);
        let store = env.store.hooked(Arc::new(plan.clone()));
        env.live(store.clone()).await;
        let call = match codec::decode::<W>(input) {
            Ok(input) => crate::call::WorkflowCall::new(input),
            Err(error) => panic!("the input of `{}` cannot be read back: {error}", W::NAME),
        };
        let run = env.start_run(call).await;
        let mut choices = Vec::new();
        let mut conclusion = None;
        for _ in 0..MOST_STEPS {
            world.check();
            if std::mem::take(&mut plan.lock().crash) {
                env.crash();
                env.live(store.clone()).await;
            } else if world.tasks.step() {
            } else if let Some(ended) = self.ended(&env, &run).await {
                conclusion = Some(ended);
                break;
            } else if world.is_outside() {
                world.outside().await;
            } else if plan.held() > 0 {
                let held = plan.held();
                let chosen = match (&case.order, held) {
                    (Some(order), 2..) => {
                        choices.push(held);
                        order.get(choices.len() - 1).copied().unwrap_or(0).min(held - 1)
                    }
                    _ => 0,
                };
                plan.release(chosen);
            } else if !world.next_moment() {
                break;
            }
        }
        let observed = [before, self.observe(&env)];
        seen(&env, run.id().as_str(), &plan, case, conclusion, choices, observed)
    }

    fn observe(&self, env: &TestEngine) -> Vec<String> {
        self.observe.iter().map(|observe| observe(env)).collect()
    }

    async fn ended<W: Workflow>(&self, env: &TestEngine, run: &crate::client::RunHandle<W>) -> Option<Conclusion> {
        let view = AnyStore::get_execution(&env.store, run.execution()).await.ok()??;
        decode(&view.conclusion.filter(|_| view.state.is_final())?).ok()
    }
}

fn seen(
    env: &TestEngine,
    run: &str,
    plan: &Plan,
    case: &Case,
    conclusion: Option<Conclusion>,
    choices: Vec<usize>,
    observed: [Vec<String>; 2],
) -> Seen {
    let (mut effects, mut mixed) = (BTreeMap::new(), Vec::new());
    let calls = env.rig.calls().clone();
    let text = |payload: &saga_store::wire::Payload| codec::text(payload).unwrap_or_default();
    let mut uses: BTreeMap<&str, (&'static str, String)> = BTreeMap::new();
    for call in &calls {
        let is = (call.activity, text(&call.input));
        let was = uses.entry(call.key.as_str()).or_insert_with(|| is.clone());
        if *was != is {
            mixed.push(format!("{}: `{}` with {}, then `{}` with {}", call.key, was.0, was.1, is.0, is.1));
        }
        if matches!(call.end, Some(Ok(_))) {
            effects.insert(call.key.to_string(), is);
        }
    }
    let mut histories = env.histories();
    // Runs that began in one moment come in any order.
    histories.sort_by_key(|history| history.run != run);
    assert!(histories.first().is_some_and(|first| first.run == run), "the run is not in its store");
    let state = plan.lock();
    let (case, fired, places) = (case.clone(), state.fired.clone(), state.places.clone());
    Seen { case, conclusion, histories, effects, mixed, observed, fired, places, choices }
}
