//! What stands around one attempt of an activity, and around the start of a run: `tower` layers.
//!
//! Around a start a [`Start`] goes in, and what it has [`Begun`] or a
//! [`ClientError`](crate::ClientError) comes out: see [`Client::layer`](crate::Client::layer) and
//! [`EngineBuilder::start_layer`](crate::EngineBuilder::start_layer). What such a layer notes beside the
//! run, attempts and the layers around them read with
//! [`ActivityContext::memo`](crate::ActivityContext::memo). The rest of this page is about attempts.
//!
//! An attempt is a [`Service`] call: an [`Attempt`] goes in, an encoded
//! output or an [`AttemptFailure`](crate::activity::AttemptFailure) comes out. The engine's own
//! [`Logging`], [`CircuitBreaker`] and [`Timeout`] are layers like those of users, who add theirs
//! with [`EngineBuilder::layer`](crate::EngineBuilder::layer), or say themselves what stands there,
//! and in which order, with [`EngineBuilder::layers`](crate::EngineBuilder::layers).
//!
//! A layer sees one attempt. Whether a failed one is repeated, and when, is the engine's: the delay
//! is in the journal. Nothing that a layer does is recorded but the attempt's end. Undo steps are
//! attempts too ([`ActivityContext::is_undo`](crate::ActivityContext::is_undo)). The attempts of
//! transactional activities run inside the store, where no layer is.
//!
//! # A layer of one's own
//!
//! ```standalone_crate
//! use std::pin::Pin;
//! use std::task::{Context, Poll};
//!
//! use saga_runtime::layer::{Attempt, Layer, Service};
//! use saga_runtime::prelude::*;
//!
//! /// What activities send along with their requests.
//! struct Bearer(String);
//!
//! #[derive(Clone)]
//! struct Authentication;
//!
//! impl<S> Layer<S> for Authentication {
//!     type Service = Authenticated<S>;
//!
//!     fn layer(&self, inner: S) -> Authenticated<S> {
//!         Authenticated { inner }
//!     }
//! }
//!
//! #[derive(Clone)]
//! struct Authenticated<S> {
//!     inner: S,
//! }
//!
//! impl<S: Service<Attempt>> Service<Attempt> for Authenticated<S> {
//!     type Response = S::Response;
//!     type Error = S::Error;
//!     type Future = S::Future;
//!
//!     fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
//!         self.inner.poll_ready(cx)
//!     }
//!
//!     fn call(&mut self, mut attempt: Attempt) -> S::Future {
//!         attempt.insert(Bearer(format!("token for {}", attempt.context().activity())));
//!         self.inner.call(attempt)
//!     }
//! }
//!
//! #[activity]
//! async fn greet(#[context] cx: &ActivityContext) -> saga_runtime::Result<String> {
//!     let bearer = cx.extension::<Bearer>().ok_or_else(|| saga_runtime::Error::msg("no token"))?;
//!     Ok(bearer.0.clone())
//! }
//!
//! #[workflow]
//! async fn greeting() -> saga_runtime::Result<String> {
//!     Ok(greet().await?)
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let engine = Engine::builder(MemoryStore::new()).layer(Authentication).start().await?;
//! let run = engine.client().start(greeting()).id("hello").await?;
//! assert_eq!(run.result().await?, "token for greet");
//! # engine.shutdown().await;
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run()).unwrap();
//! ```

mod attempt;
mod attempting;
mod breaker;
mod code;
mod logging;
mod stack;
mod thread;
mod timeout;

pub use crate::client::{Begun, Start, StartService};
pub use attempt::Attempt;
pub use breaker::CircuitBreaker;
use code::RunCode;
pub(crate) use code::Stage;
pub use logging::Logging;
pub(crate) use stack::AttemptStack;
pub use stack::{AttemptService, Layers};
pub use timeout::Timeout;
pub(crate) use timeout::timed_out;
pub use tower_layer::Layer;
pub use tower_service::Service;
