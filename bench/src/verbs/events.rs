//! How long after an event is sent the run that waits for it goes on, in this process and in
//! another.

use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;
use saga_runtime::RunHandle;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use super::Common;
use crate::figures::{Figures, millis, percentile};
use crate::work::{AWAKE, Ping, WOKEN, listener, since_1970};

/// So long after another a hint goes out to other processes at once: those that come sooner gather.
const APART: Duration = Duration::from_millis(100);

/// After so long a run that was started waits for its event, and no commit of it is under way.
const REST: Duration = Duration::from_millis(20);

/// What `events` takes.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Where, and how to print.
    #[command(flatten)]
    pub common: Common,
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
    let mut times = Times::default();
    for number in 0..options.events {
        let run = engine.client().start(listener(1)).await?;
        tokio::time::sleep(REST).await;
        let sent = send(&run, number).await?;
        AWAKE.subscribe().wait_for(|last| *last == number).await?;
        times.add(sent, woken(), since_1970());
        run.result().await?;
    }
    engine.shutdown().await;
    times.add_to(&mut figures, ["here_sent_to_wake", "here_p99", "here_sent_to_step", "here_send_to_step"]);

    let mut child = Command::new(std::env::current_exe()?)
        .args(["listen-worker", "--events", &options.events.to_string()])
        .args(place.arguments())
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("its output is a pipe")?).lines();
    anyhow::ensure!(lines.next_line().await?.is_some_and(|line| line == "ready"), "the worker did not start");
    let client = opened.client();
    let mut times = Times::default();
    for number in 0..options.events {
        let run = client.start(listener(1)).await?;
        tokio::time::sleep(APART).await;
        let sent = send(&run, number).await?;
        let line = lines.next_line().await?.context("the worker has ended")?;
        let [last, woken, awake] = line.split(' ').map(str::parse).collect::<Result<Vec<u64>, _>>()?[..] else {
            anyhow::bail!("the worker said {line:?}");
        };
        anyhow::ensure!(last == u64::from(number), "an event was missed");
        times.add(sent, Duration::from_micros(woken), Duration::from_micros(awake));
        run.result().await?;
    }
    child.kill().await?;
    place.clear().await?;
    times.add_to(&mut figures, ["there_sent_to_wake", "there_p99", "there_sent_to_step", "there_send_to_step"]);
    figures.print(options.common.json);
    Ok(())
}

/// How long it took, of each event.
#[derive(Default)]
struct Times {
    /// From when the send was answered until the workflow's code went on.
    to_wake: Vec<Duration>,
    /// Until its next step began, which is after the run's next commit.
    to_step: Vec<Duration>,
    /// The same, from before the send.
    whole: Vec<Duration>,
}

impl Times {
    fn add(&mut self, (begun, sent): (Duration, Duration), woken: Duration, awake: Duration) {
        self.to_wake.push(woken.saturating_sub(sent));
        self.to_step.push(awake.saturating_sub(sent));
        self.whole.push(awake.saturating_sub(begun));
    }

    fn add_to(mut self, figures: &mut Figures, names: [&'static str; 4]) {
        figures
            .add(
                names[0],
                millis(percentile(&mut self.to_wake, 0.5)),
                "ms until the code goes on, of a sent event (median)",
            )
            .add(names[1], millis(percentile(&mut self.to_wake, 0.99)), "ms")
            .add(names[2], millis(percentile(&mut self.to_step, 0.5)), "ms until its next step begins (median)")
            .add(names[3], millis(percentile(&mut self.whole, 0.5)), "ms, from before the send (median)");
    }
}

/// When the listener of this process went on last.
fn woken() -> Duration {
    Duration::from_micros(WOKEN.load(Ordering::Acquire))
}

/// When it was begun, and when it was answered.
async fn send(run: &RunHandle<listener>, number: u32) -> anyhow::Result<(Duration, Duration)> {
    let begun = since_1970();
    run.send(Ping { number }).await?;
    Ok((begun, since_1970()))
}

/// The other process: it says when it was woken by which event, until it is killed.
pub async fn worker(options: Options) -> anyhow::Result<()> {
    let opened = options.common.place().await?.open().await?;
    let _engine = opened.engine().start().await?;
    let mut awake = AWAKE.subscribe();
    println!("ready");
    for number in 0..options.events {
        awake.wait_for(|last| *last == number).await?;
        println!("{number} {} {}", woken().as_micros(), since_1970().as_micros());
    }
    std::future::pending().await
}
