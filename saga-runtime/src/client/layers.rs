//! The layers around the starts of a client, and the service that they make.

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use super::request::{Begun, Start};
use super::{Client, ClientError};
use crate::erased::BoxFuture;

type Begins = Result<Begun, ClientError>;

/// What a layer around starts stands around: the rest of the way to the start itself. See
/// [`Client::layer`](crate::Client::layer).
///
/// ```
/// use saga_runtime::ClientError;
/// use saga_runtime::layer::{Begun, Service, Start, StartService};
///
/// /// Any layer's service can be called so.
/// async fn twice(mut inner: StartService, start: Start) -> Result<Begun, ClientError> {
///     match inner.call(start.clone()).await {
///         Err(error) if error.is_retryable() => inner.call(start).await,
///         answer => answer,
///     }
/// }
/// # fn main() {}
/// ```
#[derive(Clone)]
pub struct StartService {
    inner: Arc<dyn Starting>,
}

/// Any service for starts, as one type.
trait Starting: Send + Sync {
    fn start(&self, start: Start) -> BoxFuture<'static, Begins>;
}

impl<S> Starting for S
where
    S: Service<Start, Response = Begun> + Clone + Send + Sync + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    S::Future: Send,
{
    fn start(&self, start: Start) -> BoxFuture<'static, Begins> {
        let mut service = self.clone();
        let door = Arc::clone(start.door());
        Box::pin(async move {
            poll_fn(|cx| service.poll_ready(cx).map_err(|error| door.refused(error))).await?;
            service.call(start).await.map_err(|error| door.refused(error))
        })
    }
}

impl Service<Start> for StartService {
    type Response = Begun;
    type Error = ClientError;
    type Future = BoxFuture<'static, Begins>;

    /// Always ready: whoever is not waits when it is called.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ClientError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, start: Start) -> Self::Future {
        self.inner.start(start)
    }
}

impl fmt::Debug for StartService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartService").finish_non_exhaustive()
    }
}

/// The innermost: has the start made by the future that the caller awaits.
struct AtTheDoor;

impl Starting for AtTheDoor {
    fn start(&self, start: Start) -> BoxFuture<'static, Begins> {
        Box::pin(Arc::clone(start.door()).ask(start))
    }
}

type Wrap = dyn Fn(StartService) -> StartService + Send + Sync;

/// The layers of a client, the outermost first, and what they make.
pub(crate) struct StartLayers {
    wraps: Vec<Arc<Wrap>>,
    service: StartService,
}

impl StartLayers {
    /// Those that there are, with one more inside of them.
    pub(crate) fn with<L>(outer: Option<&Self>, layer: L) -> Arc<Self>
    where
        L: Layer<StartService> + Send + Sync + 'static,
        L::Service: Service<Start, Response = Begun> + Clone + Send + Sync + 'static,
        <L::Service as Service<Start>>::Error: Into<Box<dyn Error + Send + Sync>>,
        <L::Service as Service<Start>>::Future: Send,
    {
        let mut wraps = outer.map(|outer| outer.wraps.clone()).unwrap_or_default();
        wraps.push(Arc::new(move |inner| StartService { inner: Arc::new(layer.layer(inner)) }));
        let innermost = StartService { inner: Arc::new(AtTheDoor) };
        let service = wraps.iter().rev().fold(innermost, |inner, wrap| wrap(inner));
        Arc::new(Self { wraps, service })
    }

    pub(super) fn start(&self, start: Start) -> BoxFuture<'static, Begins> {
        self.service.inner.start(start)
    }
}

impl Client {
    /// Adds a layer around each start of this client and of what is cloned of it from here on, inside
    /// those that are there: the first one that is added sees a start first, and its answer last. An
    /// engine's own client has those of [`EngineBuilder::start_layer`](crate::EngineBuilder::start_layer).
    ///
    /// A layer may refuse a start, wait with it, repeat it, give it up, and see and change what it
    /// says: the lane, the priority, the search attributes, the memo, the deadline
    /// ([`Start`](crate::layer::Start)). [`within`](crate::StartRun::within) passes the layers as well.
    /// Nothing of a layer is recorded but what it says of the run. The runs that workflows start,
    /// children and [`continue_as_new`](crate::continue_as_new()), are decisions in a journal and pass
    /// no layer, nor does a [`fork`](crate::Client::fork) or a [`retry`](crate::Client::retry).
    ///
    /// The start itself is made by the future that the caller awaits, and no other task: a layer
    /// that answers while it is under way has the last word, and the start is dropped, which may be
    /// before or after it has reached the store.
    ///
    /// Costs a start some allocations for each layer, and one without layers nothing.
    ///
    /// # Errors
    ///
    /// An error of a layer is the start's: one that is a [`ClientError`] as itself, any other as
    /// [`ClientError::Layer`], which says whether the run was started all the same. So a layer that wants
    /// callers to come again gives a [`ClientError::Overloaded`]. A panic of a layer goes on into the
    /// caller.
    ///
    /// ```standalone_crate
    /// use std::task::{Context, Poll};
    ///
    /// use saga_runtime::layer::{Begun, Layer, Service, Start, StartService};
    /// use saga_runtime::prelude::*;
    ///
    /// /// Lets only those start runs that say for whom.
    /// #[derive(Clone)]
    /// struct Tenants;
    ///
    /// #[derive(Clone)]
    /// struct OfTenants(StartService);
    ///
    /// impl Layer<StartService> for Tenants {
    ///     type Service = OfTenants;
    ///
    ///     fn layer(&self, inner: StartService) -> OfTenants {
    ///         OfTenants(inner)
    ///     }
    /// }
    ///
    /// impl Service<Start> for OfTenants {
    ///     type Response = Begun;
    ///     type Error = Box<dyn std::error::Error + Send + Sync>;
    ///     type Future = std::pin::Pin<Box<dyn Future<Output = Result<Begun, Self::Error>> + Send>>;
    ///
    ///     fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
    ///         Poll::Ready(Ok(()))
    ///     }
    ///
    ///     fn call(&mut self, start: Start) -> Self::Future {
    ///         if start.lane().is_none() {
    ///             return Box::pin(async { Err("no lane says for which tenant".into()) });
    ///         }
    ///         let begins = self.0.call(start);
    ///         Box::pin(async { Ok(begins.await?) })
    ///     }
    /// }
    ///
    /// #[workflow]
    /// async fn greeting() -> saga_runtime::Result<String> {
    ///     Ok("hello".to_owned())
    /// }
    ///
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let engine = Engine::builder(MemoryStore::new()).start().await?;
    /// let client = engine.client().clone().layer(Tenants);
    /// let error = client.start(greeting()).id("A").await.unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "a layer refused to start run A of workflow `greeting`: no lane says for which tenant; nothing was started"
    /// );
    /// assert_eq!(client.start(greeting()).id("A").lane("berlin").await?.result().await?, "hello");
    /// # engine.shutdown().await;
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run()).unwrap();
    /// ```
    #[must_use]
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<StartService> + Send + Sync + 'static,
        L::Service: Service<Start, Response = Begun> + Clone + Send + Sync + 'static,
        <L::Service as Service<Start>>::Error: Into<Box<dyn Error + Send + Sync>>,
        <L::Service as Service<Start>>::Future: Send,
    {
        self.layers = Some(StartLayers::with(self.layers.as_deref(), layer));
        self
    }

    pub(crate) fn through(mut self, layers: Option<Arc<StartLayers>>) -> Self {
        self.layers = layers;
        self
    }
}
