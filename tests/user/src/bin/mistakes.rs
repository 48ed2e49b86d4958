//! What only clippy sees: each line that ends in a mark is refused by it, and no other is.

use std::collections::BTreeMap;
use std::time::Instant as Clock;
use std::{env, fs, net, thread};

use saga_runtime::prelude::*;

type Ticks = std::time::Instant;

/// An activity may do anything.
#[activity]
async fn measure(name: String) -> saga_runtime::Result<usize> {
    let begun = Ticks::now();
    let bytes = fs::read(&name).map_or(0, |bytes| bytes.len());
    drop(thread::spawn(move || begun.elapsed()));
    Ok(bytes + env::args().count())
}

/// So may ordinary functions.
fn ordinary() -> u32 {
    std::process::id()
}

#[workflow]
async fn order(name: String) -> saga_runtime::Result<usize> {
    let begun = Ticks::now(); // refused
    let again = Clock::now(); // refused
    let late = begun.elapsed() > again.elapsed(); // refused twice
    let region = env::var("REGION"); // refused
    let read = fs::read_to_string(&name); // refused
    let all: Vec<_> = [&name].into_iter().map(fs::read).collect(); // refused
    drop(thread::spawn(|| 7)); // refused
    let reached = net::TcpStream::connect("127.0.0.1:80").is_ok(); // refused
    let recorded = side_effect(|| env::var("REGION").is_ok() && Ticks::now().elapsed().is_zero()).await;
    let measured = measure(name).await?;
    let held = [late, region.is_ok(), read.is_ok(), all.is_empty(), reached, recorded];
    Ok(measured + held.len() + ordinary() as usize)
}

#[durable]
async fn pause() -> bool {
    sleep(std::time::Duration::from_secs(1)).await;
    env::var_os("REGION").is_some() // refused
}

#[workflow(allow(env))]
async fn allowed() -> saga_runtime::Result<bool> {
    Ok(pause().await && env::var("REGION").is_ok())
}

fn main() {
    let _ = (order(String::new()), allowed());
    println!("{:?} {:?}", Ticks::now().elapsed(), BTreeMap::from([(ordinary(), env::args().count())]));
}
