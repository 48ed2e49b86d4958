//! Helpers borrow, mutate, recurse, are generic, and may be methods.
#![deny(warnings, clippy::pedantic)]

use saga_runtime::prelude::*;

type Failure = ActivityError<saga_runtime::Error>;

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

#[durable]
async fn countdown(n: u32, log: &mut Vec<String>) -> Result<(), Failure> {
    if n == 0 {
        return Ok(());
    }
    log.push(greet(n.to_string()).await?);
    countdown(n - 1, log).await
}

#[durable]
async fn all(names: &[&str], log: &mut Vec<&str>) {
    log.clear();
    for name in names {
        let _ = greet((*name).to_owned()).await;
    }
}

#[durable]
async fn longest<'a>(a: &'a str, b: &'a str) -> &'a str {
    if a.len() > b.len() { a } else { b }
}

#[durable]
async fn first(a: &str) -> &str {
    a
}

#[durable]
async fn shown<T: ToString + Send>(value: T, f: impl Fn(&str) -> String + Send) -> Result<String, Failure> {
    greet(f(&value.to_string())).await
}

struct Guests {
    names: Vec<String>,
}

impl Guests {
    #[durable]
    async fn greet(&self, times: u32) -> Result<usize, Failure> {
        for name in &self.names {
            greet(name.repeat(times as usize)).await?;
        }
        Ok(self.names.len())
    }
}

#[workflow]
async fn saga() -> saga_runtime::Result<usize> {
    let mut log = Vec::new();
    countdown(3, &mut log).await?;
    all(&["a", "b"], &mut vec!["c"]).await;
    let name = longest(first("a").await, "bb").await;
    shown(7, str::to_owned).await?;
    let guests = Guests { names: vec![name.to_owned()] };
    Ok(guests.greet(2).await? + log.len())
}

pub fn main() {
    let _ = saga();
}
