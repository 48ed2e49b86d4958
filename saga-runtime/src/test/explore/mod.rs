//! A workflow again and again, with a crash, an error or a cancel at each place in turn.
//!
//! - `fault`: what is done to a run, and where.
//! - `plan`: the disturbances of one case while it runs.
//! - `case`: one case, from its start to its end.
//! - `judge`: whether it came to what it may come to.
//! - `report`: what was found.

mod case;
mod fault;
mod judge;
mod plan;
mod report;

use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use saga_store::wire::Payload;

use case::{Case, Observe, Seen, Stand};
use fault::{Fault, How};
pub use report::Explored;
use report::Finding;

use super::dice::Dice;
use super::engine::TestEngine;
use super::setup::TestSetup;
use crate::call::WorkflowCall;
use crate::codec;
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
/// must end as it would have, or be undone in full. The journal must keep the engine's rules.
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
    let input = match codec::encode(call.input()) {
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
    workflow: PhantomData<fn() -> W>,
}

#[derive(Debug, Clone, Copy, Default)]
#[allow(clippy::struct_excessive_bools, reason = "kinds of disturbances, chosen one by one")]
struct Kinds {
    crashes: bool,
    failures: bool,
    twice: bool,
    orders: bool,
    cancels: bool,
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

    /// The most cases. Default: 2,000. Each single disturbance comes first; what is left goes to
    /// several crashes in one case, drawn from the seed.
    pub fn budget(mut self, cases: usize) -> Self {
        self.budget = cases;
        self
    }

    /// Kills and recovers the engine before and after each commit, and before and after each
    /// attempt.
    pub fn crash_everywhere(mut self) -> Self {
        self.kinds.crashes = true;
        self
    }

    /// Lets each step fail in each way: for good, at each attempt, with its answer lost once and
    /// always, by a panic, by never ending.
    pub fn fail_everywhere(mut self) -> Self {
        self.kinds.failures = true;
        self
    }

    /// Runs the code of each attempt twice, of undos as well, with one key.
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
        if let Err(why) = judge::judge(&base, &Case::default(), &base) {
            explored.found(Finding::new(&base, &Case::default(), &base, why));
            return explored;
        }
        for fault in self.kinds.single(&base) {
            self.case(&stand, &base, &mut explored, Case { faults: vec![fault], order: None }).await;
        }
        if self.kinds.orders {
            self.orders(&stand, &base, &mut explored).await;
        }
        if self.kinds.crashes {
            let singles = Kinds { crashes: true, ..Kinds::default() }.single(&base);
            let mut dice = Dice::new(self.seed);
            while singles.len() > 1 && explored.cases() < self.budget.min(singles.len() * 8) {
                let mut faults: Vec<Fault> =
                    (0..2 + dice.below(2)).map(|_| singles[dice.below(singles.len())].clone()).collect();
                faults.dedup();
                self.case(&stand, &base, &mut explored, Case { faults, order: None }).await;
            }
        }
        explored
    }

    /// Each order in which answers can be given, as far as the budget goes.
    async fn orders(&self, stand: &Stand<'_>, base: &Seen, explored: &mut Explored) {
        let mut order = Vec::new();
        loop {
            let case = Case { faults: Vec::new(), order: Some(order.clone()) };
            let Some(choices) = self.case(stand, base, explored, case).await else { return };
            // The next one, as an odometer counts: its last wheel that can still turn.
            order.resize(choices.len(), 0);
            let Some(wheel) = (0..choices.len()).rev().find(|at| order[*at] + 1 < choices[*at]) else { return };
            order[wheel] += 1;
            order.truncate(wheel + 1);
        }
    }

    /// Plays a case and judges it; says what there was to choose, if the budget is not used up.
    async fn case(&self, stand: &Stand<'_>, base: &Seen, explored: &mut Explored, case: Case) -> Option<Vec<usize>> {
        if explored.cases() >= self.budget {
            explored.cut_short();
            return None;
        }
        let seen = stand.play::<W>(&self.input, &case).await;
        explored.count(&case, &seen);
        // Of several crashes a later one may never come, once an earlier one has changed the way.
        let choices = seen.choices.clone();
        let unfired = case.faults.len() > 1 && seen.fired.contains(&false);
        if !unfired && let Err(why) = judge::judge(base, &case, &seen) {
            let (case, seen, why) = self.shrink(stand, base, case, seen, why).await;
            explored.found(Finding::new(base, &case, &seen, why));
        }
        Some(choices)
    }

    /// The smallest part of a case that still fails.
    async fn shrink(
        &self,
        stand: &Stand<'_>,
        base: &Seen,
        case: Case,
        seen: Seen,
        why: String,
    ) -> (Case, Seen, String) {
        let mut smallest = (case, seen, why);
        'smaller: loop {
            for at in 0..smallest.0.faults.len() {
                let mut case = smallest.0.clone();
                case.faults.remove(at);
                let seen = stand.play::<W>(&self.input, &case).await;
                if let Err(why) = judge::judge(base, &case, &seen) {
                    smallest = (case, seen, why);
                    continue 'smaller;
                }
            }
            return smallest;
        }
    }
}

impl Kinds {
    /// Each disturbance of these kinds, at each place of the undisturbed run.
    fn single(self, base: &Seen) -> Vec<Fault> {
        let mut faults = Vec::new();
        if self.crashes {
            faults.extend((0..base.commits).flat_map(|n| [Fault::CrashBeforeCommit(n), Fault::CrashAfterCommit(n)]));
            let attempts = 0..base.attempts.len();
            faults.extend(attempts.flat_map(|n| [Fault::CrashBeforeAttempt(n), Fault::CrashAfterAttempt(n)]));
        }
        if self.twice {
            faults.extend((0..base.attempts.len()).map(Fault::Twice));
        }
        if self.cancels {
            // The last commit ends the run: there is nothing to cancel any more.
            faults.extend((0..base.commits.saturating_sub(1)).map(Fault::CancelAfterCommit));
        }
        if self.failures {
            let mut keys = std::collections::BTreeSet::new();
            for (key, activity, undo) in &base.attempts {
                if keys.insert(key) {
                    let ways: &[How] = if *undo { &How::PASSING } else { &How::ALL };
                    faults.extend(ways.iter().map(|how| Fault::Fail { key: key.clone(), activity, how: *how }));
                }
            }
        }
        faults
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
