//! Modules, variables, methods, types and macros that bear the names of what is refused.
#![deny(warnings, clippy::pedantic)]

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use saga_runtime::prelude::*;

mod fs {
    pub fn read(_: &str) -> u32 {
        7
    }
}

mod time {
    pub fn now() -> u32 {
        7
    }

    pub fn sleep(_: u32) {}
}

mod net {
    pub mod process {
        pub fn exit(_: u32) {}
    }
}

#[derive(Clone, Copy)]
struct Timestamp(u32);

impl Timestamp {
    fn now(self) -> u32 {
        self.0
    }

    fn elapsed(self) -> u32 {
        self.0
    }

    fn spawn<T>(self, value: T) -> T {
        value
    }
}

struct Schedule;

impl Schedule {
    fn now() -> u32 {
        7
    }
}

mod clock {
    pub struct Instant;

    impl Instant {
        pub fn now() -> u32 {
            7
        }
    }
}

#[activity]
async fn pack(count: u32) -> saga_runtime::Result<u32> {
    Ok(count)
}

#[durable]
async fn packed(instant: &'static mut u32) -> saga_runtime::Result<u32> {
    Ok(pack(*instant).await?)
}

trait Later {
    fn later(&self) -> u32;
}

#[workflow]
async fn saga() -> saga_runtime::Result<u32> {
    #![allow(clippy::items_after_statements, clippy::similar_names)]
    use crate::clock::Instant;
    use crate::fs as disk;
    use crate::time as thread;

    struct Local;
    impl Later for Local {
        fn later(&self) -> u32 {
            7
        }
    }
    fn nested() -> std::time::Instant {
        std::time::Instant::now()
    }
    let _ = nested;
    let _: for<'a> fn(&'a str) -> u32 = fs::read;

    let (env, var, std, rand) = (1, |count: u32| count, 2, 3);
    let mut total = env + var(2) + std + rand + Local.later();
    let stamp = Timestamp(3);
    total += fs::read("a") + disk::read("b") + time::now() + stamp.now() + stamp.elapsed();
    total += stamp.spawn(1) + Schedule::now() + Instant::now() + clock::Instant::now();
    time::sleep(total);
    thread::sleep(total);
    net::process::exit(total);
    let ip = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 1));
    let same: std::net::IpAddr = std::net::IpAddr::from(Ipv4Addr::LOCALHOST);
    assert!(ip == same, "{}", std::io::Error::other("other"));
    let wait = std::time::Duration::from_secs(1).max(Duration::ZERO);
    sleep(wait).await;
    let _at = now();
    let _since = std::time::SystemTime::UNIX_EPOCH;
    let _id = new_uuid();
    let n: u32 = random();
    total += pack(n % 2).await?;
    Ok(total)
}

fn main() {
    fn is_future<F: Future>(_: fn() -> F) {}
    is_future(|| std::future::ready(()));
    let _ = saga();
    let _ = packed(Box::leak(Box::new(1)));
}
