//! Setting up an engine: what stands around attempts, and around the starts of its own client.

use std::error::Error;

use saga_store::wire::Payload;

use super::EngineBuilder;
use crate::activity::AttemptFailure;
use crate::client::StartLayers;
use crate::layer::{Attempt, AttemptService, Begun, Layer, Layers, Service, Start, StartService};

impl EngineBuilder {
    /// Adds a layer around each attempt, inside those that are there: the time that it takes counts
    /// as the attempt's, and it sees no attempt that a circuit breaker refuses. See [`crate::layer`].
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<AttemptService> + Send + 'static,
        L::Service: Service<Attempt, Response = Payload, Error = AttemptFailure> + Clone + Send + Sync + 'static,
        <L::Service as Service<Attempt>>::Future: Send,
    {
        self.layers = self.layers.layer(layer);
        self
    }

    /// Replaces all layers around each attempt, the engine's own and those added before.
    pub fn layers(mut self, layers: Layers) -> Self {
        self.layers = layers;
        self
    }

    /// Adds a layer around each start of the engine's own [client](crate::Engine::client), inside those
    /// that are there: as [`Client::layer`](crate::Client::layer) does for any client.
    ///
    /// ```standalone_crate
    /// use std::task::{Context, Poll};
    ///
    /// use saga_runtime::layer::{Layer, Service, Start, StartService};
    /// use saga_runtime::prelude::*;
    ///
    /// tokio::task_local! {
    ///     static USER: String;
    /// }
    ///
    /// /// Notes who asks.
    /// #[derive(Clone)]
    /// struct Callers;
    ///
    /// #[derive(Clone)]
    /// struct WithCaller(StartService);
    ///
    /// impl Layer<StartService> for Callers {
    ///     type Service = WithCaller;
    ///
    ///     fn layer(&self, inner: StartService) -> WithCaller {
    ///         WithCaller(inner)
    ///     }
    /// }
    ///
    /// impl Service<Start> for WithCaller {
    ///     type Response = <StartService as Service<Start>>::Response;
    ///     type Error = <StartService as Service<Start>>::Error;
    ///     type Future = <StartService as Service<Start>>::Future;
    ///
    ///     fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
    ///         self.0.poll_ready(cx)
    ///     }
    ///
    ///     fn call(&mut self, mut start: Start) -> Self::Future {
    ///         USER.with(|user| start.set_memo(user));
    ///         self.0.call(start)
    ///     }
    /// }
    ///
    /// #[activity]
    /// async fn greet(#[context] cx: &ActivityContext) -> saga_runtime::Result<String> {
    ///     Ok(format!("hello {}", cx.memo::<String>()?.unwrap_or_default()))
    /// }
    ///
    /// #[workflow]
    /// async fn greeting() -> saga_runtime::Result<String> {
    ///     Ok(greet().await?)
    /// }
    ///
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let engine = Engine::builder(MemoryStore::new()).start_layer(Callers).start().await?;
    /// let run = USER.scope("ann".to_owned(), engine.client().start(greeting()).into_future()).await?;
    /// assert_eq!(run.result().await?, "hello ann");
    /// # engine.shutdown().await;
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run()).unwrap();
    /// ```
    pub fn start_layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<StartService> + Send + Sync + 'static,
        L::Service: Service<Start, Response = Begun> + Clone + Send + Sync + 'static,
        <L::Service as Service<Start>>::Error: Into<Box<dyn Error + Send + Sync>>,
        <L::Service as Service<Start>>::Future: Send,
    {
        self.start_layers = Some(StartLayers::with(self.start_layers.as_deref(), layer));
        self
    }
}
