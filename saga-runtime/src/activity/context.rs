//! What an activity may ask about its attempt.

use std::any::{Any, TypeId, type_name};
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use saga_store::wire::OpId;
use saga_store::{ExecutionId, RunId};
use tokio::sync::watch;

use crate::state::States;

/// A key that is equal for all attempts of a step and for no other step: give it to whoever
/// performs the effect, so that a repeated attempt has the effect once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdempotencyKey(Arc<str>);

impl IdempotencyKey {
    pub(crate) fn of(execution: ExecutionId, op: &OpId, undo: bool) -> Self {
        let undo = if undo { "/undo" } else { "" };
        Self(format!("{execution}/{op}{undo}").into())
    }

    /// The key as text, at most 80 bytes for a step that is not deeply nested.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an activity may ask about its attempt. Take it as a `#[context]` parameter.
#[derive(Clone)]
pub struct ActivityContext {
    parts: Arc<ContextParts>,
    extensions: BTreeMap<TypeId, Arc<dyn Any + Send + Sync>>,
}

pub(crate) struct ContextParts {
    pub(crate) activity: &'static str,
    pub(crate) run: RunId,
    pub(crate) execution: ExecutionId,
    pub(crate) op: OpId,
    pub(crate) attempt: u32,
    pub(crate) undo: bool,
    pub(crate) states: Arc<States>,
    pub(crate) cancelled: Option<watch::Receiver<bool>>,
}

impl ActivityContext {
    pub(crate) fn new(parts: ContextParts) -> Self {
        Self { parts: Arc::new(parts), extensions: BTreeMap::new() }
    }

    /// The step's key: equal for all its attempts, also after a crash, and for no other step.
    pub fn idempotency_key(&self) -> IdempotencyKey {
        IdempotencyKey::of(self.parts.execution, &self.parts.op, self.parts.undo)
    }

    /// Which attempt this is, from 1. After a crash the count is a lower bound.
    pub fn attempt(&self) -> u32 {
        self.parts.attempt
    }

    /// The run's name.
    pub fn run_id(&self) -> &RunId {
        &self.parts.run
    }

    /// The run's execution.
    pub fn execution(&self) -> ExecutionId {
        self.parts.execution
    }

    /// The step's place in the workflow's code.
    #[cfg(feature = "test")]
    pub(crate) fn op(&self) -> &OpId {
        &self.parts.op
    }

    /// The activity's durable name.
    pub fn activity(&self) -> &'static str {
        self.parts.activity
    }

    /// Whether this attempt undoes a step.
    pub fn is_undo(&self) -> bool {
        self.parts.undo
    }

    /// Waits until the attempt is no longer wanted: its run was cancelled or the worker stops.
    /// An activity that can stop early selects on it; one that cannot is dropped.
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + 'static {
        let receiver = self.parts.cancelled.clone();
        async move {
            match receiver {
                Some(mut receiver) => {
                    if receiver.wait_for(|cancelled| *cancelled).await.is_err() {
                        std::future::pending::<()>().await;
                    }
                }
                None => std::future::pending().await,
            }
        }
    }

    /// What a [layer](crate::layer) gave this attempt: a token, a deadline, a connection.
    pub fn extension<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.extensions.get(&TypeId::of::<T>()).and_then(|value| Arc::clone(value).downcast().ok())
    }

    pub(crate) fn insert_extension<T: Any + Send + Sync>(&mut self, value: T) {
        self.extensions.insert(TypeId::of::<T>(), Arc::new(value));
    }

    /// The state of this type, as given to the engine.
    ///
    /// # Panics
    ///
    /// If the engine has none, which its start would have refused.
    #[doc(hidden)]
    pub fn state<T: Send + Sync + 'static>(&self) -> Arc<T> {
        let found = self
            .parts
            .states
            .get(TypeId::of::<T>())
            .and_then(|state: Arc<dyn Any + Send + Sync>| state.downcast().ok());
        match found {
            Some(state) => state,
            None => panic!(
                "activity `{}` needs state of type `{}`: give it to the engine with `.state(…)`",
                self.parts.activity,
                type_name::<T>()
            ),
        }
    }
}

impl fmt::Debug for ActivityContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActivityContext")
            .field("activity", &self.parts.activity)
            .field("run", &self.parts.run)
            .field("op", &self.parts.op)
            .field("attempt", &self.parts.attempt)
            .finish_non_exhaustive()
    }
}
