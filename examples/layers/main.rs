//! Layers: one around each start notes who asks; of those around each attempt, one gives activities that
//! caller's token, one injects faults.
//!
//! Run it: `cargo run --bin layers`

use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use futures_util::future::Either;
use saga_examples::Place;
use saga_runtime::activity::AttemptFailure;
use saga_runtime::layer::{Attempt, Layer, Service, Start, StartService};
use saga_runtime::prelude::*;

tokio::task_local! {
    /// For whom this program's task works: what a server finds out of a request.
    static CALLER: String;
}

/// Notes beside each run who has asked for it.
#[derive(Clone)]
struct NoteCaller;

impl Layer<StartService> for NoteCaller {
    type Service = Noted;

    fn layer(&self, inner: StartService) -> Noted {
        Noted { inner }
    }
}

#[derive(Clone)]
struct Noted {
    inner: StartService,
}

impl Service<Start> for Noted {
    type Response = <StartService as Service<Start>>::Response;
    type Error = <StartService as Service<Start>>::Error;
    type Future = <StartService as Service<Start>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut start: Start) -> Self::Future {
        CALLER.with(|caller| start.set_memo(caller));
        self.inner.call(start)
    }
}

/// What activities send with their requests.
struct Headers(Vec<(&'static str, String)>);

/// Gives each attempt the authentication header of whoever asked for its run.
#[derive(Clone)]
struct Authenticate;

impl<S> Layer<S> for Authenticate {
    type Service = Authenticated<S>;

    fn layer(&self, inner: S) -> Authenticated<S> {
        Authenticated { inner }
    }
}

#[derive(Clone)]
struct Authenticated<S> {
    inner: S,
}

impl<S: Service<Attempt>> Service<Attempt> for Authenticated<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut attempt: Attempt) -> S::Future {
        let caller: Option<String> = attempt.context().memo().ok().flatten();
        let token = format!("Bearer token-of-{}", caller.as_deref().unwrap_or("nobody"));
        attempt.insert(Headers(vec![("authorization", token)]));
        self.inner.call(attempt)
    }
}

/// Fails each attempt whose number, counted over the program, is a multiple of `every`.
#[derive(Clone)]
struct Faults {
    every: u32,
    seen: Arc<AtomicU32>,
}

impl<S> Layer<S> for Faults {
    type Service = Faulty<S>;

    fn layer(&self, inner: S) -> Faulty<S> {
        Faulty { faults: self.clone(), inner }
    }
}

#[derive(Clone)]
struct Faulty<S> {
    faults: Faults,
    inner: S,
}

impl<S> Service<Attempt> for Faulty<S>
where
    S: Service<Attempt, Error = AttemptFailure>,
    S::Future: Future<Output = Result<S::Response, AttemptFailure>>,
{
    type Response = S::Response;
    type Error = AttemptFailure;
    type Future = Either<S::Future, Ready<Result<S::Response, AttemptFailure>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AttemptFailure>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, attempt: Attempt) -> Self::Future {
        let number = self.faults.seen.fetch_add(1, Ordering::Relaxed) + 1;
        let cx = attempt.context();
        if number.is_multiple_of(self.faults.every) {
            println!("{} attempt {}: a fault is injected", cx.activity(), cx.attempt());
            let failure = AttemptFailure::from_layer(saga_runtime::Class::TRANSIENT, "an injected fault");
            return Either::Right(ready(Err(failure)));
        }
        Either::Left(self.inner.call(attempt))
    }
}

#[activity(retry(initial = "10ms"))]
async fn fetch(#[context] cx: &ActivityContext, page: u32) -> saga_runtime::Result<u32> {
    let headers = cx.extension::<Headers>().ok_or_else(|| saga_runtime::Error::msg("no headers"))?;
    let (name, value) = &headers.0[0];
    println!("{} attempt {}: GET /pages/{page} with {name}: {value}", cx.activity(), cx.attempt());
    Ok(page)
}

#[workflow]
async fn crawl(pages: u32) -> saga_runtime::Result<u32> {
    let mut sum = 0;
    for page in 1..=pages {
        sum += fetch(page).await?;
    }
    Ok(sum)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    saga_examples::init_logging();
    let faults = Faults { every: 3, seen: Arc::default() };
    let place = Place::from_args()?;
    let builder = place.engine().await?.layer(Authenticate).layer(faults).start_layer(NoteCaller);
    let engine = builder.only::<crawl>().start().await?;
    let start = engine.client().start(crawl(4)).id("crawl-1").replace_finished();
    let run = CALLER.scope("ann".to_owned(), start.into_future()).await?;
    println!("sum of the pages: {}", run.result().await?);
    engine.shutdown().await;
    Ok(())
}
