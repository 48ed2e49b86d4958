//! Loops over what has an order, with heads and patterns of all shapes.
#![deny(warnings, clippy::pedantic)]

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Mutex;

use saga_runtime::prelude::*;

struct Point {
    x: u32,
    y: u32,
}

struct Countdown(u32);

impl Iterator for Countdown {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        self.0.checked_sub(1).inspect(|left| self.0 = *left)
    }
}

#[activity]
async fn pack(count: u32) -> saga_runtime::Result<u32> {
    Ok(count)
}

#[durable]
async fn each<I: IntoIterator<Item = u32, IntoIter: Send> + Send>(counts: I) -> saga_runtime::Result<u32> {
    let mut total = 0;
    for count in counts {
        total += pack(count).await?;
    }
    Ok(total)
}

#[workflow]
async fn saga(stock: HashMap<String, u32>, more: BTreeMap<String, u32>) -> saga_runtime::Result<u32> {
    let mut total = 0;
    for count in 0..3 {
        total += pack(count).await?;
    }
    for (name, count) in &more {
        total += pack(*count).await? + u32::try_from(name.len())?;
    }
    let mut counts: Vec<u32> = stock.values().copied().collect();
    counts.sort_unstable();
    for count in &mut counts {
        *count += 1;
    }
    'outer: for (at, count) in counts.iter().enumerate().rev() {
        for _ in 0..at {
            if pack(*count).await? == 0 {
                continue 'outer;
            }
        }
    }
    let queue = Mutex::new(VecDeque::from([1, 2]));
    for count in queue.lock().expect("not poisoned").iter() {
        total += count;
    }
    for Point { x, y } in [Point { x: 1, y: 2 }] {
        total += x + y;
    }
    for count in {
        counts.reverse();
        counts
    } {
        total += count;
    }
    for count in if total > 3 { vec![total] } else { Vec::new() } {
        total += count;
    }
    for count in Countdown(3).map(|count| match count {
        0 => 1,
        more => more,
    }) {
        total += pack(count).await?;
    }
    for packed in join_all(more.into_values().map(pack)).await {
        total += packed?;
    }
    total += each([1, 2]).await? + each(vec![total]).await?;
    Ok(total + stock.get("tea").copied().unwrap_or(0))
}

macro_rules! packer {
    ($name:ident, $counts:expr) => {
        #[workflow]
        async fn $name() -> saga_runtime::Result<u32> {
            let mut total = 0;
            for count in $counts {
                total += count;
            }
            let counts = [1, 2];
            for count in counts {
                total += pack(count).await?;
            }
            Ok(total)
        }
    };
}

packer!(packer, vec![1, 2]);

pub fn main() {
    let _ = packer();
    let _ = saga(HashMap::new(), BTreeMap::new());
}
