//! A workflow again and again, with a crash, an error or a cancel at each place in turn.
//!
//! - `fault`: what is done to a run, and where.
//! - `plan`: the disturbances of one case while it runs.
//! - `places`: where something can go wrong, and what.
//! - `case`: one case, from its start to its end.
//! - `judge`: whether it came to what it may come to.
//! - `report`: what was found.

mod case;
mod fault;
mod judge;
mod places;
mod plan;
mod report;

use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use saga_store::wire::Payload;

use case::{Case, Observe, Seen, Stand};
use fault::Fault;
use judge::Demands;
use places::Kinds;
pub use report::Explored;
use report::Finding;

use super::dice::Dice;
use super::engine::TestEngine;
use super::setup::TestSetup;
use crate::call::WorkflowCall;
use crate::client::Outcome;
use crate::codec::Encoder;
use crate::workflow::Workflow;

type Configure = Arc<dyn Fn(TestSetup) -> TestSetup + Send + Sync>;

/// Begins to explore a workflow: what happens to it when something goes wrong, at each place.
///
/// First it runs undisturbed. Then it runs again for each disturbance that was asked for, at each
/// place where it can happen: every commit, every attempt. Each time everything is new: store,
/// state, engine. Virtual time makes a case take less than a millisecond or so.
///
/// A crash, and code that runs twice, must change nothing: neither the outcome nor the side
/// effects, which are compared by their idempotency keys (and with
/// [`observe`](Exploration::observe) in the test's own state). After an error or a cancel the run
/// must end as it would have, or be undone in full; then each such way back is disturbed in its
/// turn, by crashes and by undos that run twice. The journals, those of child runs as well, must
/// keep the engine's rules, and each disturbance must really have happened where it was to.
///
/// ```
/// use std::sync::Mutex;
///
/// use saga_runtime::prelude::*;
/// use saga_runtime::test::explore;
///
/// #[derive(Default)]
/// pub struct Seats(Mutex<std::collections::BTreeSet<String>>);
///
/// #[activity(compensate = free_seat(seat))]
/// pub async fn book_seat(#[state] seats: &Seats, seat: String) -> saga_runtime::Result<()> {
///     seats.0.lock().unwrap().insert(seat); // once for one seat, however often it is called
///     Ok(())
/// }
///
/// #[activity]
/// pub async fn free_seat(#[state] seats: &Seats, seat: String) -> saga_runtime::Result<()> {
///     seats.0.lock().unwrap().remove(&seat);
///     Ok(())
/// }
///
/// #[workflow]
/// pub async fn book_two() -> saga_runtime::Result<()> {
///     book_seat("1A".to_owned()).await?;
///     book_seat("1B".to_owned()).await?;
///     Ok(())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// explore(book_two())
///     .with(Seats::default)
///     .observe(|seats: &Seats| seats.0.lock().unwrap().len())
///     .everything()
///     .await
///     .assert_same_outcome();
/// # }
/// ```
///
/// # Panics
///
/// If the call's input cannot be recorded.
pub fn explore<W: Workflow>(call: WorkflowCall<W>) -> Exploration<W> {
    let input = match Encoder::default().encode(call.input()) {
        Ok(input) => input,
        Err(error) => panic!("the input of `{}` cannot be recorded: {error}", W::NAME),
    };
    Exploration {
        input,
        configure: Vec::new(),
        observe: Vec::new(),
        seed: 0,
        budget: 2_000,
        kinds: Kinds::default(),
        demands: Demands::default(),
        only: None,
        workflow: PhantomData,
    }
}

/// An exploration about to be made: say what shall go wrong, then await it. See [`explore`].
#[must_use = "nothing is explored until this is awaited: add `.crash_everywhere().await`"]
pub struct Exploration<W> {
    input: Payload,
    configure: Vec<Configure>,
    observe: Vec<Observe>,
    seed: u64,
    budget: usize,
    kinds: Kinds,
    demands: Demands,
    only: Option<String>,
    workflow: PhantomData<fn() -> W>,
}

impl<W: Workflow> Exploration<W> {
    /// Makes a value that activities take as `#[state]`, anew for each case.
    pub fn with<T: Send + Sync + 'static>(self, state: impl Fn() -> T + Send + Sync + 'static) -> Self {
        self.setup(move |setup| setup.state(state()))
    }

    /// Sets up the engine of each case: its state, its mocks.
    pub fn setup(mut self, configure: impl Fn(TestSetup) -> TestSetup + Send + Sync + 'static) -> Self {
        self.configure.push(Arc::new(configure));
        self
    }

    /// Looks at the state after each case: a crash, or code that runs twice, must not change what
    /// is seen.
    ///
    /// # Panics
    ///
    /// In a case, if there is no state of this type.
    pub fn observe<T: Send + Sync + 'static, S: std::fmt::Debug>(
        mut self,
        look: impl Fn(&T) -> S + Send + Sync + 'static,
    ) -> Self {
        self.observe.push(Arc::new(move |env: &TestEngine| {
            let state = env.states.get(std::any::TypeId::of::<T>()).and_then(|state| state.downcast::<T>().ok());
            match state {
                Some(state) => format!("{:?}", look(&state)),
                None => panic!("there is no state of type `{}` to observe", std::any::type_name::<T>()),
            }
        }));
        self
    }

    /// What ids, random values and the choice of cases derive from. Default: 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The most cases. Default: 2,000. Each single disturbance comes first, then the orders, then
    /// the ways back; what is left goes to several crashes in one case, drawn from the seed.
    pub fn budget(mut self, cases: usize) -> Self {
        self.budget = cases;
        self
    }

    /// Only this case, as a finding names it: to see it again, in a debugger or with a log.
    pub fn only(mut self, case: impl Into<String>) -> Self {
        self.only = Some(case.into());
        self
    }

    /// Such an outcome is right as well, where a step fails, the run is cancelled, or steps end in
    /// another order: a saga that tries something else after an error ends well, but not as it
    /// would have. Crashes still must not change the outcome.
    pub fn accept(mut self, outcome: impl Fn(&Outcome<W::Output, W::Error>) -> bool + Send + Sync + 'static) -> Self {
        self.demands
            .also
            .push(Arc::new(move |conclusion| Outcome::from_conclusion(conclusion).is_ok_and(|ended| outcome(&ended))));
        self
    }

    /// A run that is undone leaves what is [observed](Self::observe) as it was before the run: this
    /// finds a step that has no undo and needs one, and an undo that takes back something else.
    pub fn undo_restores(mut self) -> Self {
        self.demands.restores = true;
        self
    }

    /// Kills and recovers the engine before and after each commit, and before and after each
    /// attempt.
    pub fn crash_everywhere(mut self) -> Self {
        self.kinds.crashes = true;
        self
    }

    /// Lets each step fail in each way: for good, at each attempt, with its answer lost once and
    /// always, by a panic, by never ending; each undo of the undisturbed run in each way that it can
    /// survive.
    pub fn fail_everywhere(mut self) -> Self {
        self.kinds.failures = true;
        self
    }

    /// Runs the code of each attempt twice, with one key: also of undos, which a run that completes
    /// has only where [`fail_everywhere`](Self::fail_everywhere) or
    /// [`cancel_everywhere`](Self::cancel_everywhere) makes it turn back.
    pub fn run_twice(mut self) -> Self {
        self.kinds.twice = true;
        self
    }

    /// Lets steps that run beside one another end in each order.
    pub fn each_order(mut self) -> Self {
        self.kinds.orders = true;
        self
    }

    /// Cancels the run at each of its awaits.
    pub fn cancel_everywhere(mut self) -> Self {
        self.kinds.cancels = true;
        self
    }

    /// All of it.
    pub fn everything(self) -> Self {
        self.crash_everywhere().fail_everywhere().run_twice().each_order().cancel_everywhere()
    }

    async fn explore(self) -> Explored {
        let configure = self.configure.clone();
        let setup = move || configure.iter().fold(TestSetup::new(), |setup, configure| configure(setup));
        let stand = Stand { setup: &setup, observe: &self.observe, seed: self.seed };
        let base = stand.play::<W>(&self.input, &Case::default()).await;
        let mut explored = Explored::new(W::NAME, self.seed, base.conclusion.as_ref());
        if let Err(why) = judge::judge(&self.demands, &base, &base) {
            explored.found(Finding::new(&base, &base, why));
            return explored;
        }
        let mut turned_back = Vec::new();
        for fault in self.kinds.single(&base) {
            let seen = self.case(&stand, &base, &mut explored, Case::of(vec![fault])).await;
            turned_back.extend(seen.filter(|seen| seen.case.faults.iter().all(Fault::is_surveyed)));
        }
        if self.kinds.orders {
            self.orders(&stand, &base, &mut explored).await;
        }
        self.ways_back(&stand, turned_back, &mut explored).await;
        if self.kinds.crashes {
            self.several_crashes(&stand, &base, &mut explored).await;
        }
        if let (Some(only), 1) = (&self.only, explored.cases()) {
            explored.found(Finding::new(&base, &base, format!("there is no case \"{only}\"")));
        }
        explored
    }

    /// Each order in which answers can be given, as far as the budget goes.
    async fn orders(&self, stand: &Stand<'_>, base: &Seen, explored: &mut Explored) {
        let mut order = Vec::new();
        loop {
            let case = Case { order: Some(order.clone()), ..Case::default() };
            let Some(seen) = self.case(stand, base, explored, case).await else { return };
            // The next one, as an odometer counts: its last wheel that can still turn.
            order.resize(seen.choices.len(), 0);
            let Some(wheel) = (0..order.len()).rev().find(|at| order[*at] + 1 < seen.choices[*at]) else { return };
            order[wheel] += 1;
            order.truncate(wheel + 1);
        }
    }

    /// Disturbs each way back once more, at each of its places. What may differ from the undisturbed
    /// run is known by then; that must not differ any further.
    async fn ways_back(&self, stand: &Stand<'_>, turned_back: Vec<Seen>, explored: &mut Explored) {
        let mut known = std::collections::BTreeSet::new();
        for reference in turned_back {
            let faults = self.kinds.on_the_way_back(&reference);
            if faults.is_empty() || !known.insert(places::way_back(&reference)) {
                continue;
            }
            for fault in faults {
                let both = reference.case.faults.iter().cloned().chain([fault]).collect();
                self.case(stand, &reference, explored, Case::of(both)).await;
            }
        }
    }

    /// Two or three crashes in one case, drawn from the seed.
    async fn several_crashes(&self, stand: &Stand<'_>, base: &Seen, explored: &mut Explored) {
        let singles = Kinds { crashes: true, ..Kinds::default() }.single(base);
        let most = self.budget.min(explored.cases() + singles.len() * 2);
        let mut dice = Dice::new(self.seed);
        for _ in explored.cases()..most {
            let mut faults: Vec<Fault> =
                (0..2 + dice.below(2)).map(|_| singles[dice.below(singles.len())].clone()).collect();
            faults.dedup();
            self.case(stand, base, explored, Case { drawn: true, ..Case::of(faults) }).await;
        }
    }

    /// Plays a case and judges it; says what was seen, if the budget is not used up.
    async fn case(&self, stand: &Stand<'_>, reference: &Seen, explored: &mut Explored, case: Case) -> Option<Seen> {
        let name = case.name();
        let asked_for = self.only.as_ref().is_none_or(|only| *only == name);
        // What leads to the one that is asked for is played as well.
        let leads = self.only.as_ref().is_some_and(|only| only.starts_with(&name) || case.order.is_some());
        if !asked_for && !leads {
            return None;
        }
        if explored.cases() >= self.budget {
            explored.cut_short();
            return None;
        }
        let seen = stand.play::<W>(&self.input, &case).await;
        if !asked_for {
            return Some(seen);
        }
        explored.count(&seen);
        // Of several crashes a later one may never come, once an earlier one has changed the way.
        let unfired = case.drawn && seen.fired.contains(&None);
        match judge::judge(&self.demands, reference, &seen) {
            Err(why) if !unfired => {
                let finding = Finding::new(reference, &seen, why);
                let smallest = self.shrink(stand, finding, &case).await;
                explored.found(smallest);
                None
            }
            _ => Some(seen),
        }
    }

    /// The smallest part of a case that still fails, beside the undisturbed run.
    async fn shrink(&self, stand: &Stand<'_>, finding: Finding, case: &Case) -> Finding {
        let (mut smallest, mut case) = (finding, case.clone());
        if case.faults.len() < 2 {
            return smallest;
        }
        let base = stand.play::<W>(&self.input, &Case::default()).await;
        'smaller: loop {
            for at in 0..case.faults.len() {
                let mut smaller = case.clone();
                smaller.faults.remove(at);
                smaller.drawn &= smaller.faults.len() > 1;
                let seen = stand.play::<W>(&self.input, &smaller).await;
                // What cannot happen without the rest is no smaller case.
                if !seen.fired.contains(&None)
                    && let Err(why) = judge::judge(&self.demands, &base, &seen)
                {
                    (smallest, case) = (Finding::new(&base, &seen, why), smaller);
                    continue 'smaller;
                }
            }
            return smallest;
        }
    }
}

impl<W: Workflow> IntoFuture for Exploration<W> {
    type Output = Explored;
    type IntoFuture = Pin<Box<dyn Future<Output = Explored> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.explore())
    }
}

impl<W: Workflow> std::fmt::Debug for Exploration<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exploration").field("workflow", &W::NAME).field("kinds", &self.kinds).finish_non_exhaustive()
    }
}
