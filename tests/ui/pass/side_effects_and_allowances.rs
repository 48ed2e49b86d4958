//! What is refused elsewhere: recorded by `side_effect`, or allowed by name.
#![deny(warnings, clippy::pedantic)]

use std::collections::HashMap;
use std::time::SystemTime;

use saga_runtime::prelude::*;

#[workflow]
async fn recorded() -> saga_runtime::Result<u64> {
    let home = side_effect(|| std::env::var("HOME").unwrap_or_default()).await;
    let at = side_effect(move || {
        let now = SystemTime::now();
        now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
    })
    .await;
    let files = saga_runtime::side_effect(|| std::fs::read_dir(".").map_or(0, Iterator::count)).await;
    Ok(at + u64::try_from(home.len() + files)?)
}

#[workflow(allow(hash_order, clock, print))]
async fn allowed(stock: HashMap<String, u32>) -> saga_runtime::Result<u32> {
    let mut total = 0;
    for count in stock.values() {
        total += count;
    }
    println!("{total} at {:?}", SystemTime::now());
    Ok(total)
}

#[durable(allow(env, io, random, threads))]
async fn helper() -> saga_runtime::Result<usize> {
    let here = std::env::current_dir()?;
    let there = std::fs::read_dir(here)?.count();
    std::thread::scope(|_| {});
    Ok(there)
}

pub fn main() {
    let _ = (recorded(), allowed(HashMap::new()), helper());
}
