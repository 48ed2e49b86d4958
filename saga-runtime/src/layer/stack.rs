//! The layers of an engine, and the service that they make.

use std::fmt;
use std::future::{poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use saga_store::wire::Payload;
use tower_layer::Layer;
use tower_service::Service;

use super::attempting::Attempting;
use super::breaker::breaking;
use super::logging::logged;
use super::timeout::timed;
use super::{Attempt, CircuitBreaker, RunCode, Stage};
use crate::activity::{AttemptEnd, AttemptFailure, caught, panicked};
use crate::erased::BoxFuture;

/// What a layer stands around: the rest of the way to the activity's code.
#[derive(Clone)]
pub struct AttemptService {
    inner: Arc<dyn Attempting>,
}

impl<S> Attempting for S
where
    S: Service<Attempt, Response = Payload, Error = AttemptFailure> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    fn attempt(&self, attempt: Attempt) -> BoxFuture<'static, AttemptEnd> {
        Box::pin(ready_and_call(self.clone(), attempt))
    }

    fn attempt_caught(&self, attempt: Attempt) -> BoxFuture<'static, AttemptEnd> {
        match catch_unwind(AssertUnwindSafe(|| self.clone())) {
            Ok(service) => caught(ready_and_call(service, attempt)),
            Err(panic) => Box::pin(ready(Err(panicked(panic.as_ref())))),
        }
    }
}

/// Logging, circuit breaker and timeout in one, as most engines have them: nobody is cloned for an
/// attempt, nothing has to be ready, and what waits for the code is one future.
struct Standard {
    breaker: CircuitBreaker,
    inner: AttemptService,
}

impl Standard {
    fn around(&self, attempt: Attempt) -> impl Future<Output = AttemptEnd> + Send + use<> {
        let inner = |attempt| Catching(Some(self.inner.inner.attempt_bare(attempt)));
        let breaking = |attempt| breaking(&self.breaker.breakers, attempt, |attempt| timed(attempt, inner));
        logged(attempt, breaking)
    }
}

/// An attempt whose panic is its failure; then it is not polled again.
struct Catching(Option<BoxFuture<'static, AttemptEnd>>);

impl Future for Catching {
    type Output = AttemptEnd;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<AttemptEnd> {
        let Some(making) = &mut self.0 else { return Poll::Pending };
        match catch_unwind(AssertUnwindSafe(|| making.as_mut().poll(cx))) {
            Ok(polled) => polled,
            Err(panic) => {
                self.0 = None;
                Poll::Ready(Err(panicked(panic.as_ref())))
            }
        }
    }
}

impl Attempting for Standard {
    fn attempt(&self, attempt: Attempt) -> BoxFuture<'static, AttemptEnd> {
        Box::pin(self.around(attempt))
    }

    fn attempt_caught(&self, attempt: Attempt) -> BoxFuture<'static, AttemptEnd> {
        match catch_unwind(AssertUnwindSafe(|| self.around(attempt))) {
            Ok(making) => caught(making),
            Err(panic) => Box::pin(ready(Err(panicked(panic.as_ref())))),
        }
    }
}

async fn ready_and_call<S>(mut service: S, attempt: Attempt) -> AttemptEnd
where
    S: Service<Attempt, Response = Payload, Error = AttemptFailure>,
{
    poll_fn(|cx| service.poll_ready(cx)).await?;
    service.call(attempt).await
}

impl AttemptService {
    fn new(service: impl Attempting + 'static) -> Self {
        Self { inner: Arc::new(service) }
    }
}

impl Service<Attempt> for AttemptService {
    type Response = Payload;
    type Error = AttemptFailure;
    type Future = BoxFuture<'static, AttemptEnd>;

    /// Always ready: whoever is not waits when it is called.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), AttemptFailure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, attempt: Attempt) -> Self::Future {
        self.inner.attempt(attempt)
    }
}

impl fmt::Debug for AttemptService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttemptService").finish_non_exhaustive()
    }
}

type Wrap = Box<dyn FnOnce(AttemptService) -> AttemptService + Send>;

/// The layers around each attempt, the outermost first.
///
/// ```standalone_crate
/// use saga_runtime::layer::{CircuitBreaker, Layers, Logging, Timeout};
/// use saga_runtime::prelude::*;
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// // What an engine has that is told nothing, spelled out:
/// let layers = Layers::none().layer(Logging::new()).layer(CircuitBreaker::new()).layer(Timeout::new());
/// let engine = Engine::builder(MemoryStore::new()).layers(layers).start().await?;
/// # engine.shutdown().await;
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run()).unwrap();
/// ```
pub struct Layers {
    /// The outermost first.
    wraps: Vec<Wrap>,
}

impl Layers {
    /// No layer at all: attempts are neither logged nor limited in time, and the circuit breakers
    /// that activities declare do nothing.
    #[must_use]
    pub fn none() -> Self {
        Self { wraps: Vec::new() }
    }

    /// Logging, circuit breaker and timeout, outermost first.
    #[must_use]
    pub fn standard() -> Self {
        let breaker = CircuitBreaker::new();
        Self { wraps: vec![Box::new(move |inner| AttemptService::new(Standard { breaker, inner }))] }
    }

    /// Adds a layer inside those that are there.
    #[must_use]
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<AttemptService> + Send + 'static,
        L::Service: Service<Attempt, Response = Payload, Error = AttemptFailure> + Clone + Send + Sync + 'static,
        <L::Service as Service<Attempt>>::Future: Send,
    {
        self.wraps.push(Box::new(move |inner| AttemptService::new(layer.layer(inner))));
        self
    }

    pub(crate) fn around_code(self, stage: Option<Arc<dyn Stage>>) -> AttemptStack {
        let code = AttemptService::new(RunCode { stage });
        AttemptStack(self.wraps.into_iter().rev().fold(code, |inner, wrap| wrap(inner)))
    }
}

impl Default for Layers {
    fn default() -> Self {
        Self::standard()
    }
}

impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layers").finish_non_exhaustive()
    }
}

/// All layers with the code inside.
pub(crate) struct AttemptStack(AttemptService);

impl AttemptStack {
    pub(crate) fn attempt(&self, attempt: Attempt) -> BoxFuture<'static, AttemptEnd> {
        self.0.inner.attempt_caught(attempt)
    }
}
