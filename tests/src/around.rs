//! A layer around starts that does what a test's function does.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use saga_runtime::layer::{Begun, Layer, Service, Start, StartService};

/// How a start ends for a layer.
pub type Begins = Result<Begun, Box<dyn Error + Send + Sync>>;

type Beginning = Pin<Box<dyn Future<Output = Begins> + Send>>;

/// A function around each start.
#[derive(Clone)]
pub struct Around {
    what: Arc<dyn Fn(StartService, Start) -> Beginning + Send + Sync>,
}

/// This function as a layer: it gets the rest of the way, and the start.
pub fn around<R>(what: impl Fn(StartService, Start) -> R + Send + Sync + 'static) -> Around
where
    R: Future<Output = Begins> + Send + 'static,
{
    Around { what: Arc::new(move |inner, start| Box::pin(what(inner, start))) }
}

impl Layer<StartService> for Around {
    type Service = Within;

    fn layer(&self, inner: StartService) -> Within {
        Within { around: self.clone(), inner }
    }
}

/// What is within the function.
#[derive(Clone)]
pub struct Within {
    around: Around,
    inner: StartService,
}

impl Service<Start> for Within {
    type Response = Begun;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Beginning;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, start: Start) -> Beginning {
        (self.around.what)(self.inner.clone(), start)
    }
}
