//! What stands between the engine and the activities' code in a test: mocks, and a list of all
//! that was called.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use saga_store::wire::Payload;
use saga_store::{RunId, Timestamp};

use super::script::{Mock, Mocked};
use super::world::World;
use crate::activity::{ActivityContext, ActivityDefinition, AttemptEnd, AttemptFuture, Code, IdempotencyKey};
use crate::layer::Stage;
use crate::state::States;
use crate::workflow::WorkflowDefinition;

/// One attempt, as it was called.
#[derive(Debug, Clone)]
pub(super) struct Called {
    pub(super) activity: &'static str,
    pub(super) input: Payload,
    pub(super) run: RunId,
    pub(super) key: IdempotencyKey,
    pub(super) attempt: u32,
    pub(super) undo: bool,
    pub(super) at: Timestamp,
    /// How it ended, if it did: one that was dropped, or that panicked, did not.
    pub(super) end: Option<AttemptEnd>,
}

/// Who is asked before and after each attempt.
pub(super) trait Watch: Send + Sync {
    /// An attempt is about to begin: `number` counts all of them, from 0.
    fn before(&self, number: usize, called: &Called) -> Instead;
    /// Its code has ended; `lose` if that was [`Instead::Lose`].
    fn after(&self, number: usize, called: &Called, end: AttemptEnd, lose: bool) -> After;
}

/// What happens in place of an attempt.
pub(super) enum Instead {
    /// Nothing: it is made.
    Nothing,
    /// It is made twice, one after the other.
    Twice,
    /// It is made, and its answer is lost.
    Lose,
    /// It ends so, its code untouched.
    End(AttemptEnd),
    /// It panics.
    Panic,
    /// It never ends.
    Hang,
}

/// What the engine is told of an attempt.
pub(super) enum After {
    /// That it ended so.
    End(AttemptEnd),
    /// Nothing, ever.
    Hang,
    /// That it ended so, once `go` says so.
    Later(AttemptEnd, tokio::sync::oneshot::Receiver<()>),
}

/// Mocks and calls. A clone is the same one.
#[derive(Clone)]
pub(super) struct Rig(Arc<Parts>);

struct Parts {
    world: World,
    states: States,
    mocks: BTreeMap<&'static str, Mock>,
    watch: Option<Arc<dyn Watch>>,
    calls: Mutex<Vec<Called>>,
    workflows: Mutex<BTreeMap<(&'static str, u32), &'static WorkflowDefinition>>,
}

impl Rig {
    pub(super) fn new(
        world: World,
        states: States,
        mocks: BTreeMap<&'static str, Mock>,
        watch: Option<Arc<dyn Watch>>,
    ) -> Self {
        Self(Arc::new(Parts { world, states, mocks, watch, calls: Mutex::default(), workflows: Mutex::default() }))
    }

    /// All that was called, in the order of the beginnings.
    pub(super) fn calls(&self) -> MutexGuard<'_, Vec<Called>> {
        self.0.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the activity does: its mock, or its own code, during which time stands.
    fn code(&self, definition: &'static ActivityDefinition, context: ActivityContext, input: Payload) -> AttemptFuture {
        let Mocked { wait, attempt } = match self.0.mocks.get(definition.name) {
            Some(mock) => mock(input.clone()),
            None => Mocked { wait: std::time::Duration::ZERO, attempt: None },
        };
        let rig = self.clone();
        let begin = self.0.world.time.now();
        Box::pin(async move {
            if !wait.is_zero() {
                rig.0.world.time.sleep_until(begin.after(wait)).await;
            }
            match attempt {
                Some(attempt) => attempt.await,
                None => rig.real(definition, context, input).await,
            }
        })
    }

    async fn real(
        &self,
        definition: &'static ActivityDefinition,
        context: ActivityContext,
        input: Payload,
    ) -> AttemptEnd {
        let world = &self.0.world;
        if definition.is_transaction() {
            let name = definition.name;
            world.fail(format!(
                "activity `{name}` writes through a store's transaction, which a test engine has not: \
                 add `.mock::<{name}>(…)`"
            ));
            return std::future::pending().await;
        }
        if let Some(missing) = (definition.states)().into_iter().find(|state| !self.0.states.contains(state.id)) {
            let name = definition.name;
            world.fail(format!(
                "activity `{name}` takes state of type `{}`, which the test engine was not given: add `.state(…)`, \
                 or `.mock::<{name}>(…)`",
                missing.name
            ));
            return std::future::pending().await;
        }
        let _at_work = world.at_work();
        match definition.code {
            Code::Async(code) => code(context, input).await,
            // What blocks holds up a test, whose time stands meanwhile in any case.
            Code::Blocking(code) => code(&context, &input),
            Code::Transaction { .. } | Code::AsyncTransaction { .. } => std::future::pending().await,
        }
    }
}

impl Stage for Rig {
    fn began(&self, definition: &'static WorkflowDefinition) {
        let mut workflows = self.0.workflows.lock().unwrap_or_else(PoisonError::into_inner);
        workflows.insert((definition.name, definition.version), definition);
    }

    fn workflow(&self, name: &str, version: u32) -> Option<&'static WorkflowDefinition> {
        let workflows = self.0.workflows.lock().unwrap_or_else(PoisonError::into_inner);
        workflows.iter().find(|((n, v), _)| *n == name && *v == version).map(|(_, definition)| *definition)
    }

    fn attempt(
        &self,
        definition: &'static ActivityDefinition,
        context: ActivityContext,
        input: Payload,
    ) -> AttemptFuture {
        let called = Called {
            activity: definition.name,
            input: input.clone(),
            run: context.run_id().clone(),
            key: context.idempotency_key(),
            attempt: context.attempt(),
            undo: context.is_undo(),
            at: self.0.world.time.now(),
            end: None,
        };
        let number = {
            let mut calls = self.calls();
            calls.push(called.clone());
            calls.len() - 1
        };
        let rig = self.clone();
        Box::pin(async move {
            let instead = rig.0.watch.as_ref().map_or(Instead::Nothing, |watch| watch.before(number, &called));
            let lose = matches!(instead, Instead::Lose);
            let untouched = matches!(instead, Instead::End(_));
            let end = match instead {
                Instead::Nothing | Instead::Lose => rig.code(definition, context, input).await,
                Instead::Twice => {
                    // The answer of the first is lost; the second is the one that is heard.
                    let _ = rig.code(definition, context.clone(), input.clone()).await;
                    rig.code(definition, context, input).await
                }
                Instead::End(end) => end,
                Instead::Panic => std::panic::resume_unwind(Box::new("a panic that the test put in".to_owned())),
                Instead::Hang => std::future::pending().await,
            };
            if !untouched && let Some(call) = rig.calls().get_mut(number) {
                call.end = Some(end.clone());
            }
            let Some(watch) = &rig.0.watch else { return end };
            match watch.after(number, &called, end, lose) {
                After::End(end) => end,
                After::Hang => std::future::pending().await,
                After::Later(end, go) => {
                    // Nobody left to say so means at once.
                    let _ = go.await;
                    end
                }
            }
        })
    }
}
