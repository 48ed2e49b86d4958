//! How long after an event is sent the run that waits for it goes on, in this process and in
//! another.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use saga_runtime::Client;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use super::Common;
use crate::figures::{Figures, millis, percentile};
use crate::work::{AWAKE, Ping, listener};

/// What `events` takes.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    /// Events to send.
    #[arg(long, default_value_t = 200)]
    events: u32,
}

/// Measures.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let place = options.common.place().await?;
    let opened = place.open().await?;
    let mut figures = Figures::new(format!("{}: {} events to a waiting run", place.kind(), options.events));

    let engine = opened.engine().start().await?;
    let run = engine.client().start(listener(options.events)).id("HERE").await?;
    let (mut whole, mut after_send) = (Vec::new(), Vec::new());
    for number in 0..options.events {
        let (begun, sent) = send(engine.client(), "HERE", number).await?;
        AWAKE.subscribe().wait_for(|last| *last == number).await?;
        let awake = since_1970();
        whole.push(awake.saturating_sub(begun));
        after_send.push(awake.saturating_sub(sent));
    }
    run.result().await?;
    engine.shutdown().await;
    add(&mut figures, ["here_send_to_wake", "here_p99", "here_sent_to_wake"], &mut whole, &mut after_send);

    let mut child = Command::new(std::env::current_exe()?)
        .args(["listen-worker", "--events", &options.events.to_string()])
        .args(place.arguments())
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("its output is a pipe")?).lines();
    anyhow::ensure!(lines.next_line().await?.is_some_and(|line| line == "ready"), "the worker did not start");
    let client = opened.client();
    let (mut whole, mut after_send) = (Vec::new(), Vec::new());
    for number in 0..options.events {
        let (begun, sent) = send(&client, "THERE", number).await?;
        let line = lines.next_line().await?.context("the worker has ended")?;
        let (last, micros) = line.split_once(' ').context("a number and a moment")?;
        anyhow::ensure!(last.parse::<u32>()? == number, "an event was missed");
        let awake = Duration::from_micros(micros.parse()?);
        whole.push(awake.saturating_sub(begun));
        after_send.push(awake.saturating_sub(sent));
    }
    child.wait().await?;
    place.clear().await?;
    add(&mut figures, ["there_send_to_wake", "there_p99", "there_sent_to_wake"], &mut whole, &mut after_send);
    figures.print(options.common.json);
    Ok(())
}

fn add(figures: &mut Figures, names: [&'static str; 3], whole: &mut [Duration], after_send: &mut [Duration]) {
    figures
        .add(names[0], millis(percentile(whole, 0.5)), "ms from before the send (median)")
        .add(names[1], millis(percentile(whole, 0.99)), "ms from before the send")
        .add(names[2], millis(percentile(after_send, 0.5)), "ms from when the send was answered (median)");
}

/// When it was begun, and when it was answered.
async fn send(client: &Client, id: &str, number: u32) -> anyhow::Result<(Duration, Duration)> {
    let run = client.attach::<listener>(id).await?;
    let begun = since_1970();
    run.send(Ping { number }).await?;
    Ok((begun, since_1970()))
}

/// One machine has one clock, whichever process asks.
fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The other process: it says when it was woken by which event.
pub async fn worker(options: Options) -> anyhow::Result<()> {
    let opened = options.common.place().await?.open().await?;
    let engine = opened.engine().start().await?;
    let run = engine.client().start(listener(options.events)).id("THERE").await?;
    let mut awake = AWAKE.subscribe();
    println!("ready");
    for number in 0..options.events {
        awake.wait_for(|last| *last == number).await?;
        println!("{number} {}", since_1970().as_micros());
    }
    run.result().await?;
    engine.shutdown().await;
    Ok(())
}
