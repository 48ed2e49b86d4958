//! The workflows and steps that are run. The steps do nothing: what is measured is the engine.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use saga_runtime::prelude::*;
use serde::{Deserialize, Serialize};

/// A step that does nothing and returns what it is given.
#[activity]
pub async fn nothing(number: u32) -> saga_runtime::Result<u32> {
    Ok(number)
}

/// The same with some bytes to record, in and out.
#[activity]
pub async fn carry(payload: String) -> saga_runtime::Result<String> {
    Ok(payload)
}

/// So many steps, one after another.
#[workflow]
pub async fn steps(count: u32) -> saga_runtime::Result<u32> {
    let mut sum = 0_u32;
    for number in 0..count {
        sum = sum.wrapping_add(nothing(number).await?);
    }
    Ok(sum)
}

/// So many steps that each carry a payload.
#[workflow]
pub async fn heavy_steps(count: u32, payload: String) -> saga_runtime::Result<u32> {
    for _ in 0..count {
        carry(payload.clone()).await?;
    }
    Ok(count)
}

/// So many steps at once.
#[workflow]
pub async fn fan(count: u32) -> saga_runtime::Result<u32> {
    let mut sum = 0_u32;
    for value in join_all((0..count).map(nothing)).await {
        sum = sum.wrapping_add(value?);
    }
    Ok(sum)
}

/// What a waiting run is woken by.
#[derive(Debug, Clone, Serialize, Deserialize, Event)]
pub struct Ping {
    /// Which one.
    pub number: u32,
}

/// Waits for so many events.
#[workflow]
pub async fn listener(count: u32) -> saga_runtime::Result<u32> {
    let mut last = 0;
    for _ in 0..count {
        last = event::<Ping>().await.number;
        has_woken();
        set_last(last).await?;
    }
    Ok(last)
}

/// When a listener's code went on last, in microseconds since 1970. It is looked at from outside, and no
/// workflow asks: a replay would set it again.
pub static WOKEN: AtomicU64 = AtomicU64::new(0);

fn has_woken() {
    WOKEN.store(u64::try_from(since_1970().as_micros()).unwrap_or(u64::MAX), Ordering::Release);
}

/// One machine has one clock, whichever process asks.
pub fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A step by which a listener shows that it is awake: see [`AWAKE`].
#[activity]
pub async fn set_last(number: u32) -> saga_runtime::Result<()> {
    AWAKE.send_replace(number);
    Ok(())
}

/// The number of the last event that a listener of this process has taken.
pub static AWAKE: std::sync::LazyLock<tokio::sync::watch::Sender<u32>> =
    std::sync::LazyLock::new(|| tokio::sync::watch::channel(u32::MAX).0);

/// Sleeps once.
#[workflow]
pub async fn sleeper(seconds: u64) -> saga_runtime::Result<()> {
    sleep(std::time::Duration::from_secs(seconds)).await;
    Ok(())
}

/// Sleeps until a moment, and then shows that it is awake: see [`RANG`].
#[workflow]
pub async fn alarm(micros: i64) -> saga_runtime::Result<()> {
    sleep_until(saga_store::Timestamp::from_micros(micros)).await;
    ring().await?;
    Ok(())
}

/// Some steps, then one that does not end: what a takeover finds.
#[workflow]
pub async fn halfway(count: u32) -> saga_runtime::Result<()> {
    for number in 0..count {
        nothing(number).await?;
    }
    endless().await?;
    Ok(())
}

/// A step that does not end by itself; see [`ENDLESS`].
#[activity(timeout = "1h")]
pub async fn endless() -> saga_runtime::Result<()> {
    ENDLESS.send_modify(|begun| *begun += 1);
    std::future::pending::<()>().await;
    Ok(())
}

/// How many runs of [`halfway`] have come to their last step in this process.
pub static ENDLESS: std::sync::LazyLock<tokio::sync::watch::Sender<u64>> =
    std::sync::LazyLock::new(|| tokio::sync::watch::channel(0).0);

/// How many runs of [`alarm`] have gone on in this process.
pub static RANG: std::sync::LazyLock<tokio::sync::watch::Sender<u64>> =
    std::sync::LazyLock::new(|| tokio::sync::watch::channel(0).0);

/// Counts an alarm.
#[activity]
pub async fn ring() -> saga_runtime::Result<()> {
    RANG.send_modify(|rang| *rang += 1);
    Ok(())
}

/// Waits for something that does not come, and for a moment that is near enough for the run to
/// stay in memory.
#[workflow]
pub async fn endless_wait() -> saga_runtime::Result<()> {
    loop {
        sleep(std::time::Duration::from_secs(59)).await;
    }
}
