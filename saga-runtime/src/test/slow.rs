//! A workflow's code that holds up its worker is reported, with its run and its place.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::TestEngine;
use super::time::VirtualTime;
use crate::prelude::*;

thread_local! {
    static TIME: RefCell<Option<VirtualTime>> = const { RefCell::new(None) };
}

/// Stands for code that takes long.
fn works(time: Duration) {
    TIME.with_borrow(|virtual_time| {
        if let Some(virtual_time) = virtual_time {
            virtual_time.move_to(virtual_time.now().after(time));
        }
    });
}

#[activity]
async fn quick_step() -> crate::Result<()> {
    Ok(())
}

#[workflow]
async fn computes(millis: u64) -> crate::Result<()> {
    quick_step().await?;
    works(Duration::from_millis(millis));
    quick_step().await?;
    Ok(())
}

/// Keeps the warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, "{field}={value:?} ");
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().expect("nobody panics with it").push(text.0);
    }
}

async fn warnings(millis: u64) -> Vec<String> {
    let warnings = Warnings::default();
    let _here = tracing::subscriber::set_default(warnings.clone());
    let env = TestEngine::new().start().await;
    TIME.set(Some(env.world.time.clone()));
    let run = env.client().start(computes(millis)).id("ORD-7").await.expect("it starts");
    env.outcome(&run).await;
    TIME.set(None);
    let all = warnings.0.lock().expect("nobody panics with it").clone();
    all.into_iter().filter(|warning| warning.contains("held up its worker")).collect()
}

#[tokio::test]
async fn a_poll_that_takes_a_second_is_reported_with_its_run_and_place() {
    let source = include_str!("slow.rs");
    let line = |text: &str| source.lines().position(|line| line.contains(text)).map_or(0, |at| at + 1);
    let works = line("    works(");
    let [warning] = <[String; 1]>::try_from(warnings(1_000).await).expect("one warning");
    assert!(warning.contains("run=ORD-7") && warning.contains("workflow=\"computes\""), "{warning}");
    assert!(warning.contains("took_ms=1000"), "{warning}");
    let place = format!("slow.rs:{} and ", works - 1);
    assert!(warning.contains(&place) && warning.contains(&format!("slow.rs:{}\"", works + 1)), "{warning}");
}

#[tokio::test]
async fn a_shorter_poll_is_not_reported() {
    assert_eq!(warnings(999).await, Vec::<String>::new());
}
