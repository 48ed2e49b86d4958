//! Layers around the starts of runs.

use std::error::Error;
use std::sync::{Arc, Mutex};

use saga_runtime::layer::{Service, Start, StartService};
use saga_runtime::prelude::*;
use saga_runtime::store::{OnExisting, Query, RunView};
use saga_runtime::{Client, ClientError, Codec};
use saga_store::Store;
use saga_store::wire::{Payload, decode};
use saga_tests::steps::{SagaError, step};
use saga_tests::{Around, Begins, Lossy, Place, World, around, engine, engine_with, on_each_store};

#[workflow]
async fn lets_work() -> Result<String, SagaError> {
    Ok(step("work".to_owned()).await?)
}

on_each_store!(
    the_layer_that_is_added_first_sees_a_start_first_and_its_answer_last,
    a_start_that_a_layer_refuses_starts_nothing_and_says_why,
    a_run_is_what_the_layers_say_of_it,
    a_clients_error_comes_out_of_a_layer_as_itself,
    a_start_that_a_layer_makes_twice_is_one_run,
    a_start_whose_answer_was_lost_is_the_same_run_when_a_layer_repeats_it,
    a_start_whose_answer_was_lost_is_sent_again_unchanged,
    a_repeated_start_is_no_other_run_to_a_start_that_wants_a_new_one,
    a_layer_that_gives_a_start_up_says_that_its_outcome_is_unknown,
    a_layer_that_fails_after_the_start_says_that_the_run_is_there,
    a_layer_that_answers_without_the_start_is_an_error,
    children_pass_no_layer,
);

type Log = Arc<Mutex<Vec<String>>>;

/// Notes what comes in and what goes out.
fn notes(name: &'static str, log: &Log) -> Around {
    let log = Arc::clone(log);
    around(move |mut inner, start| {
        let log = Arc::clone(&log);
        async move {
            let what = |what: &str| log.lock().unwrap().push(format!("{name} {what}"));
            what(start.id().unwrap_or("no id"));
            let begun = inner.call(start).await?;
            what(if begun.is_new() { "new" } else { "old" });
            Ok(begun)
        }
    })
}

/// Passes a start on with what this says of it.
fn says(what: impl Fn(&mut Start) + Send + Sync + 'static) -> Around {
    around(move |mut inner, mut start| {
        what(&mut start);
        async move { Ok(inner.call(start).await?) }
    })
}

async fn again(mut inner: StartService, start: Start) -> Begins {
    match inner.call(start.clone()).await {
        Err(error) if error.is_retryable() => Ok(inner.call(start).await?),
        answer => Ok(answer?),
    }
}

async fn all(store: &impl Store) -> Vec<RunView> {
    store.list(&Query { limit: 10, ..Query::default() }).await.unwrap().runs
}

async fn the_layer_that_is_added_first_sees_a_start_first_and_its_answer_last(place: impl Place) {
    let log = Log::default();
    let set_up = |builder: saga_runtime::EngineBuilder| {
        builder.start_layer(notes("first", &log)).start_layer(notes("second", &log))
    };
    let engine = engine_with(&place, &World::default(), set_up).await;
    let before = engine.client().clone();
    let client = before.clone().layer(notes("third", &log));
    client.start(lets_work()).id("A").await.unwrap().result().await.unwrap();
    assert_eq!(*log.lock().unwrap(), ["first A", "second A", "third A", "third new", "second new", "first new"]);
    log.lock().unwrap().clear();
    before.start(lets_work()).id("A").await.unwrap();
    assert_eq!(*log.lock().unwrap(), ["first A", "second A", "second old", "first old"]);
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{0} is not let in")]
struct Stranger(&'static str);

async fn a_start_that_a_layer_refuses_starts_nothing_and_says_why(place: impl Place) {
    let store = place.open().await;
    let client = Client::new(store.clone()).layer(around(|_, _| async { Err(Stranger("eve").into()) }));
    let error = client.start(lets_work()).id("A").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "a layer refused to start run A of workflow `lets_work`: eve is not let in; nothing was started"
    );
    assert_eq!(error.source().unwrap().downcast_ref(), Some(&Stranger("eve")));
    assert!(error.is_layer() && !error.is_retryable());
    assert!(matches!(error, ClientError::Layer { started: Some(false), .. }));
    assert!(all(&store).await.is_empty());
}

async fn a_run_is_what_the_layers_say_of_it(place: impl Place) {
    let store = place.open().await;
    let outer = says(|start| {
        assert_eq!((start.workflow(), start.version(), start.lane()), ("lets_work", 1, None));
        assert_eq!(start.memo::<Vec<String>>().unwrap().unwrap(), ["caller"]);
        start.set_lane("berlin");
        start.set_attribute("tenant", "berlin");
        start.set_memo(&["outer"]);
    });
    let inner = says(|start| {
        assert_eq!((start.lane(), start.priority()), (Some("berlin"), 3));
        assert_eq!(start.attributes().len(), 2);
        start.set_priority(start.priority() + 4);
        start.set_attribute("tenant", "paris");
        let memo: Vec<String> = start.memo().unwrap().unwrap();
        start.set_memo(&[memo, vec!["inner".to_owned()]].concat());
    });
    let client = Client::new(store.clone()).layer(outer).layer(inner);
    let start = client.start(lets_work()).priority(3).attribute("tenant", "rome").attribute("size", "4");
    let run = start.memo(&["caller"]).await.unwrap();
    let view = run.view().await.unwrap();
    assert_eq!((view.lane.as_str(), view.priority), ("berlin", 7));
    let mut attributes = view.attributes.clone();
    attributes.sort();
    let expected = [("size", "4"), ("tenant", "paris")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(attributes, expected);
    let memo: Payload = decode(&view.memo.unwrap()).unwrap();
    assert_eq!(Codec::to_json(&memo).unwrap(), r#"["outer","inner"]"#);
}

async fn a_clients_error_comes_out_of_a_layer_as_itself(place: impl Place) {
    let store = place.open().await;
    let passes = || says(|_| {});
    let client = Client::new(store.clone()).layer(passes()).layer(passes());
    client.start(lets_work()).id("A").await.unwrap();
    let error = client.start(lets_work()).id("A").on_existing(OnExisting::Reject).await.unwrap_err();
    assert!(matches!(error, ClientError::Exists { .. }), "{error}");
    let full = |_, _| async {
        let retry_after = std::time::Duration::from_secs(7);
        Err(ClientError::Overloaded { waiting: 3, retry_after }.into())
    };
    let error = client.layer(around(full)).start(lets_work()).id("B").await.unwrap_err();
    assert_eq!(error.retry_after(), Some(std::time::Duration::from_secs(7)));
    assert!(error.is_retryable());
}

async fn a_start_that_a_layer_makes_twice_is_one_run(place: impl Place) {
    let world = World::default();
    let twice = || {
        around(|mut inner: StartService, start: Start| async move {
            assert_eq!(start.id(), None);
            let first = inner.call(start.clone()).await?;
            let second = inner.call(start).await?;
            assert_eq!(first, second);
            Ok(second)
        })
    };
    let engine = engine_with(&place, &world, |builder| builder.start_layer(twice())).await;
    let run = engine.client().start(lets_work()).await.unwrap();
    assert!(run.is_new());
    assert_eq!(run.result().await.unwrap(), "work!");
    let query = Query { limit: 10, ..Query::default() };
    assert_eq!(engine.client().list(&query).await.unwrap().runs.len(), 1);
    assert_eq!(world.log(), ["work"]);
}

async fn a_start_whose_answer_was_lost_is_the_same_run_when_a_layer_repeats_it(place: impl Place) {
    let world = World::default();
    let store = Lossy::new(place.open().await);
    let builder = saga_runtime::Engine::builder(store.clone()).state(world.clone());
    let engine = builder.start_layer(around(again)).start().await.unwrap();
    store.lose_starts(1);
    let run = engine.client().start(lets_work()).await.unwrap();
    assert!(run.is_new());
    assert_eq!(run.result().await.unwrap(), "work!");
    assert_eq!(all(&store).await.len(), 1);
    assert_eq!(world.log(), ["work"]);
    engine.shutdown().await;
}

async fn a_start_whose_answer_was_lost_is_sent_again_unchanged(place: impl Place) {
    let store = Lossy::new(place.open().await);
    let builder = saga_runtime::Engine::builder(store.clone()).state(World::default());
    let changes = around(|mut inner: StartService, mut start: Start| async move {
        let lost = inner.call(start.clone()).await;
        assert!(lost.unwrap_err().is_retryable());
        start.set_lane("another");
        Ok(inner.call(start).await?)
    });
    let engine = builder.start_layer(changes).start().await.unwrap();
    store.lose_starts(1);
    let run = engine.client().start(lets_work()).id("A").await.unwrap();
    run.result().await.unwrap();
    let sent: Vec<String> = store.starts_of("A").iter().map(|run| format!("{run:?}")).collect();
    assert!(sent.len() >= 2 && sent.iter().all(|again| *again == sent[0]), "{sent:#?}");
    engine.shutdown().await;
}

async fn a_repeated_start_is_no_other_run_to_a_start_that_wants_a_new_one(place: impl Place) {
    let store = Lossy::new(place.open().await);
    let client = Client::new(store.clone()).layer(around(again));
    store.lose_starts(1);
    let run = client.start(lets_work()).id("A").on_existing(OnExisting::Reject).await.unwrap();
    assert!(run.is_new());
    let error = client.start(lets_work()).id("A").on_existing(OnExisting::Reject).await.unwrap_err();
    assert!(matches!(error, ClientError::Exists { .. }), "{error}");
}

async fn a_layer_that_gives_a_start_up_says_that_its_outcome_is_unknown(place: impl Place) {
    let store = Lossy::new(place.open().await);
    store.stall("A");
    let clock = store.clone();
    let impatient = around(move |mut inner, start| {
        let clock = clock.clone();
        async move {
            tokio::select! {
                begun = inner.call(start) => Ok(begun?),
                // The store has been asked.
                () = clock.refused() => Err("too slow".into()),
            }
        }
    });
    let error = Client::new(store).layer(impatient).start(lets_work()).id("A").await.unwrap_err();
    assert!(matches!(error, ClientError::Layer { started: None, .. }));
    assert!(error.is_retryable());
    assert_eq!(
        error.to_string(),
        "a layer gave up the start of run A of workflow `lets_work`: too slow; whether the run was started is unknown, \
         and the same id again gives it if so"
    );
}

async fn a_layer_that_fails_after_the_start_says_that_the_run_is_there(place: impl Place) {
    let store = place.open().await;
    let fails = around(|mut inner: StartService, start| async move {
        inner.call(start).await?;
        Err("the log is full".into())
    });
    let error = Client::new(store.clone()).layer(fails).start(lets_work()).id("A").await.unwrap_err();
    assert!(matches!(error, ClientError::Layer { started: Some(true), .. }), "{error}");
    assert!(!error.is_retryable());
    assert_eq!(all(&store).await.len(), 1);
}

async fn a_layer_that_answers_without_the_start_is_an_error(place: impl Place) {
    let store = place.open().await;
    let kept = Arc::new(Mutex::new(None));
    let cache = around(move |mut inner, start| {
        let kept = Arc::clone(&kept);
        async move {
            if let Some(begun) = kept.lock().unwrap().clone() {
                return Ok(begun);
            }
            let begun = inner.call(start).await?;
            *kept.lock().unwrap() = Some(begun.clone());
            Ok(begun)
        }
    });
    let client = Client::new(store.clone()).layer(cache);
    client.start(lets_work()).id("A").await.unwrap();
    let error = client.start(lets_work()).id("B").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "a layer refused to start run B of workflow `lets_work`: it answered without the answer of the start; \
         nothing was started"
    );
    assert_eq!(all(&store).await.len(), 1);
}

#[workflow]
async fn starts_a_child() -> Result<String, SagaError> {
    lets_work().await.map_err(|_| SagaError::GivesUp)
}

async fn children_pass_no_layer(place: impl Place) {
    let log = Log::default();
    let engine = engine(&place, &World::default()).await;
    let client = engine.client().clone().layer(notes("a", &log));
    client.start(starts_a_child()).id("A").await.unwrap().result().await.unwrap();
    assert_eq!(*log.lock().unwrap(), ["a A", "a new"]);
}
