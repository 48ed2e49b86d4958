//! Layers around attempts: users' own, and the engine's in an order of the user's.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use saga_runtime::activity::{AttemptEnd, AttemptFailure, ErrorKind};
use saga_runtime::layer::{Attempt, Layer, Layers, Logging, Service, Timeout};
use saga_runtime::prelude::*;
use saga_runtime::store::wire::Payload;
use saga_runtime::{Class, Result};

type Log = Arc<Mutex<Vec<String>>>;
type Fault = Arc<dyn Fn(&Attempt) -> Option<AttemptFailure> + Send + Sync>;

/// Writes down what it sees, and fails what it is told to.
#[derive(Clone)]
struct Spy {
    name: &'static str,
    log: Log,
    fault: Fault,
}

impl Spy {
    fn new(name: &'static str, log: &Log) -> Self {
        Self { name, log: Arc::clone(log), fault: Arc::new(|_| None) }
    }

    fn failing(self, fault: impl Fn(&Attempt) -> Option<AttemptFailure> + Send + Sync + 'static) -> Self {
        Self { fault: Arc::new(fault), ..self }
    }
}

impl<S> Layer<S> for Spy {
    type Service = Spying<S>;

    fn layer(&self, inner: S) -> Spying<S> {
        Spying { spy: self.clone(), inner }
    }
}

#[derive(Clone)]
struct Spying<S> {
    spy: Spy,
    inner: S,
}

impl<S> Service<Attempt> for Spying<S>
where
    S: Service<Attempt, Response = Payload, Error = AttemptFailure>,
    S::Future: Send + 'static,
{
    type Response = Payload;
    type Error = AttemptFailure;
    type Future = Pin<Box<dyn Future<Output = AttemptEnd> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<std::result::Result<(), AttemptFailure>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, attempt: Attempt) -> Self::Future {
        let cx = attempt.context();
        let undo = if cx.is_undo() { " (undo)" } else { "" };
        let line = format!("{} {} {}{undo}", self.spy.name, cx.activity(), cx.attempt());
        self.spy.log.lock().unwrap().push(line);
        match (self.spy.fault)(&attempt) {
            Some(failure) => Box::pin(std::future::ready(Err(failure))),
            None => Box::pin(self.inner.call(attempt)),
        }
    }
}

#[activity(compensate = unbook(room))]
async fn book(room: u32) -> Result<u32> {
    Ok(room)
}

#[activity]
async fn unbook(room: u32) -> Result<()> {
    assert!(room > 0);
    Ok(())
}

#[activity(retry(max_attempts = 2, initial = "1ms"))]
async fn pay() -> Result<u32> {
    Ok(7)
}

#[workflow]
async fn stay(room: u32) -> Result<u32> {
    Ok(book(room).await? + pay().await?)
}

async fn run(engine: &Engine, id: &str) -> String {
    let run = engine.client().start(stay(3)).id(id).await.unwrap();
    format!("{:?}", run.outcome().await.unwrap())
}

#[tokio::test]
async fn layers_stand_around_each_attempt_the_first_one_outermost() {
    let log = Log::default();
    let builder = Engine::builder(MemoryStore::new()).layer(Spy::new("outer", &log)).layer(Spy::new("inner", &log));
    let engine = builder.start().await.unwrap();
    assert_eq!(run(&engine, "stay-1").await, "Completed(10)");
    assert_eq!(*log.lock().unwrap(), ["outer book 1", "inner book 1", "outer pay 1", "inner pay 1"]);
    engine.shutdown().await;
}

#[tokio::test]
async fn a_failure_of_a_layer_is_repeated_and_undone_like_one_of_the_activity() {
    let log = Log::default();
    let refuse = |attempt: &Attempt| {
        let failure = || AttemptFailure::from_layer(Class::TRANSIENT, "the proxy is away");
        (attempt.context().activity() == "pay").then(failure)
    };
    let engine =
        Engine::builder(MemoryStore::new()).layer(Spy::new("layer", &log).failing(refuse)).start().await.unwrap();
    assert!(run(&engine, "stay-1").await.contains("the proxy is away"));
    assert_eq!(*log.lock().unwrap(), ["layer book 1", "layer pay 1", "layer pay 2", "layer unbook 1 (undo)"]);
    engine.shutdown().await;
}

#[tokio::test]
async fn a_layer_that_panics_fails_the_attempt_only() {
    let log = Log::default();
    let fault = |attempt: &Attempt| {
        assert!(attempt.context().attempt() > 1, "not at first");
        None
    };
    let engine =
        Engine::builder(MemoryStore::new()).layer(Spy::new("layer", &log).failing(fault)).start().await.unwrap();
    assert_eq!(run(&engine, "stay-1").await, "Completed(10)");
    assert_eq!(*log.lock().unwrap(), ["layer book 1", "layer book 2", "layer pay 1", "layer pay 2"]);
    engine.shutdown().await;
}

#[activity(timeout = "5ms", retry(max_attempts = 1))]
async fn stuck() -> Result<()> {
    std::future::pending().await
}

#[workflow]
async fn waits_in_vain() -> Result<String> {
    match stuck().await {
        Ok(()) => Ok("never".to_owned()),
        Err(error) if error.is_timeout() => Ok(error.to_string()),
        Err(error) => Err(error.into()),
    }
}

#[derive(Clone)]
struct Slow;

impl<S> Layer<S> for Slow {
    type Service = Slowed<S>;

    fn layer(&self, inner: S) -> Slowed<S> {
        Slowed(inner)
    }
}

#[derive(Clone)]
struct Slowed<S>(S);

impl<S: Service<Attempt>> Service<Attempt> for Slowed<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), S::Error>> {
        Poll::Pending
    }

    fn call(&mut self, attempt: Attempt) -> S::Future {
        self.0.call(attempt)
    }
}

#[tokio::test]
async fn what_stands_inside_the_timeout_is_limited_by_it() {
    let layers = Layers::none().layer(Logging::new()).layer(Timeout::new()).layer(Slow);
    let engine = Engine::builder(MemoryStore::new()).layers(layers).start().await.unwrap();
    let run = engine.client().start(waits_in_vain()).id("wait-1").await.unwrap();
    assert_eq!(run.result().await.unwrap(), "`stuck` timed out after 5ms");
    engine.shutdown().await;
}

#[tokio::test]
async fn a_layer_can_change_an_attempts_time() {
    #[derive(Clone)]
    struct Hurry;
    impl<S> Layer<S> for Hurry {
        type Service = Hurried<S>;
        fn layer(&self, inner: S) -> Hurried<S> {
            Hurried(inner)
        }
    }
    #[derive(Clone)]
    struct Hurried<S>(S);
    impl<S: Service<Attempt>> Service<Attempt> for Hurried<S> {
        type Response = S::Response;
        type Error = S::Error;
        type Future = S::Future;
        fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<std::result::Result<(), S::Error>> {
            self.0.poll_ready(cx)
        }
        fn call(&mut self, mut attempt: Attempt) -> S::Future {
            assert_eq!(attempt.timeout(), Duration::from_millis(5));
            attempt.set_timeout(Duration::from_millis(1));
            self.0.call(attempt)
        }
    }
    let engine =
        Engine::builder(MemoryStore::new()).layers(Layers::none().layer(Hurry).layer(Timeout::new())).start().await;
    let engine = engine.unwrap();
    let run = engine.client().start(waits_in_vain()).id("wait-1").await.unwrap();
    assert_eq!(run.result().await.unwrap(), "`stuck` timed out after 1ms");
    engine.shutdown().await;
}

#[activity(retry(max_attempts = 1), circuit_breaker(failures = 1, cooldown = "1h", key = region))]
async fn deliver(region: String) -> Result<String> {
    if region == "north" { Err(saga_runtime::Error::msg("no road")) } else { Ok(region) }
}

/// The sorts of errors of deliveries to these regions, one after another.
#[workflow]
async fn deliveries(regions: Vec<String>) -> Result<Vec<String>> {
    let mut ends = Vec::new();
    for region in regions {
        ends.push(match deliver(region).await {
            Ok(region) => region,
            Err(error) if error.kind() == ErrorKind::CircuitOpen => error.to_string(),
            Err(error) => error.to_string(),
        });
    }
    Ok(ends)
}

#[tokio::test]
async fn a_breaker_with_a_key_is_open_for_that_key_only() {
    let engine = Engine::builder(MemoryStore::new()).start().await.unwrap();
    let regions = ["north", "south", "north", "south"].map(str::to_owned).to_vec();
    let run = engine.client().start(deliveries(regions)).id("deliveries-1").await.unwrap();
    let ends = run.result().await.unwrap();
    assert_eq!(
        ends,
        ["no road", "south", "the circuit breaker of `deliver` for `north` is open after 1 failures in a row", "south"]
    );
    engine.shutdown().await;
}

/// The same, all at once.
#[workflow]
async fn deliveries_at_once(regions: Vec<String>) -> Result<Vec<String>> {
    let ends = join_all(regions.into_iter().map(deliver)).await;
    Ok(ends.into_iter().map(|end| end.unwrap_or_else(|error| error.to_string())).collect())
}

#[tokio::test]
async fn of_attempts_at_once_those_that_begin_after_the_breaker_opened_are_refused() {
    let engine = Engine::builder(MemoryStore::new()).start().await.unwrap();
    let run = engine.client().start(deliveries_at_once(vec!["north".to_owned(); 4])).id("deliveries-2").await.unwrap();
    let ends = run.result().await.unwrap();
    assert_eq!(ends.iter().filter(|end| *end == "no road").count(), 1, "{ends:?}");
    assert_eq!(ends.iter().filter(|end| end.contains("is open after 1 failures")).count(), 3, "{ends:?}");
    engine.shutdown().await;
}

/// A deaf one does not answer.
static RINGS: tokio::sync::Notify = tokio::sync::Notify::const_new();

#[activity(retry(max_attempts = 1), circuit_breaker(failures = 1, cooldown = "1h"))]
async fn call(deaf: bool) -> Result<()> {
    if deaf {
        RINGS.notify_one();
        std::future::pending::<()>().await;
    }
    Ok(())
}

#[activity]
async fn ring() -> Result<()> {
    RINGS.notified().await;
    Ok(())
}

#[workflow]
async fn calls() -> Result<()> {
    for _ in 0..3 {
        select! {
            answered = call(true) => answered?,
            rang = ring() => rang?,
        }
    }
    Ok(call(false).await?)
}

#[tokio::test]
async fn an_attempt_whose_branch_has_lost_is_no_failure_to_a_breaker() {
    let engine = Engine::builder(MemoryStore::new()).start().await.unwrap();
    engine.client().start(calls()).id("calls-1").await.unwrap().result().await.unwrap();
    engine.shutdown().await;
}

#[tokio::test]
async fn a_layer_reads_the_input_by_the_parameters_names() {
    let log = Log::default();
    let rooms: Arc<Mutex<BTreeSet<u64>>> = Arc::default();
    let seen = Arc::clone(&rooms);
    let note = move |attempt: &Attempt| {
        seen.lock().unwrap().extend(attempt.input().unwrap().get("room").and_then(serde_json::Value::as_u64));
        assert!(!attempt.step().is_empty());
        assert_eq!(attempt.workflow(), "stay");
        None
    };
    let engine =
        Engine::builder(MemoryStore::new()).layer(Spy::new("layer", &log).failing(note)).start().await.unwrap();
    assert_eq!(run(&engine, "stay-1").await, "Completed(10)");
    assert_eq!(*rooms.lock().unwrap(), BTreeSet::from([3]));
    engine.shutdown().await;
}
