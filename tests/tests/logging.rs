//! What the engine logs of attempts and runs, as JSON and as text.

use std::io::Write;
use std::sync::{Arc, Mutex};

use saga_runtime::prelude::*;
use saga_tests::steps::{SagaError, pay};
use saga_tests::{Act, World};
use serde_json::Value;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

#[workflow]
async fn pays_in_the_end() -> Result<String, SagaError> {
    Ok(pay("fee".to_owned()).await?)
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// A run whose step fails once; its engine runs on this thread.
async fn run() {
    let world = World::default();
    world.plan("fee", [Act::Lose]);
    let engine = Engine::builder(MemoryStore::new()).state(world).start().await.unwrap();
    let run = engine.client().start(pays_in_the_end()).id("ORD-7").await.unwrap();
    run.result().await.unwrap();
    engine.shutdown().await;
}

#[tokio::test]
async fn json_lines_say_which_run_step_and_attempt_and_how_it_ended() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().json().with_max_level(LevelFilter::DEBUG).with_writer(lines.clone());
    let guard = subscriber.finish().set_default();
    run().await;
    drop(guard);
    let text = lines.text();
    let parsed: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let attempts: Vec<_> = parsed.iter().filter(|line| line["fields"]["attempt"].is_u64()).collect();
    assert_eq!(attempts.len(), 2, "{text}");
    for (line, (number, outcome)) in attempts.iter().zip([(1, "failed"), (2, "completed")]) {
        let fields = &line["fields"];
        assert_eq!(fields["run"], "ORD-7");
        assert_eq!(fields["workflow"], "pays_in_the_end");
        assert_eq!(fields["activity"], "pay");
        assert_eq!(fields["attempt"], number);
        assert_eq!(fields["outcome"], outcome);
        assert!(fields["duration"].is_string(), "{line}");
    }
    assert_eq!(attempts[0]["level"], "INFO");
    assert_eq!(attempts[0]["fields"]["error"], "the answer was lost");
    let ended = parsed.iter().find(|line| line["fields"]["message"] == "run ended").unwrap();
    assert_eq!(ended["fields"]["outcome"], "completed");
    assert_eq!(ended["fields"]["run"], "ORD-7");
}

#[tokio::test]
async fn text_lines_say_the_same() {
    let lines = Lines::default();
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_max_level(LevelFilter::DEBUG).with_writer(lines.clone());
    let guard = subscriber.finish().set_default();
    run().await;
    drop(guard);
    let text = lines.text();
    let failed = text.lines().find(|line| line.contains("attempt failed")).unwrap();
    let completed = text.lines().find(|line| line.contains("attempt completed")).unwrap();
    for part in [
        "INFO",
        "run=ORD-7",
        "workflow=\"pays_in_the_end\"",
        "activity=\"pay\"",
        "attempt=1",
        "outcome=\"failed\"",
        "duration=",
    ] {
        assert!(failed.contains(part), "{part} in {failed}");
    }
    for part in ["DEBUG", "run=ORD-7", "attempt=2", "outcome=\"completed\"", "duration="] {
        assert!(completed.contains(part), "{part} in {completed}");
    }
}
