//! Each target takes its corpus, and what comes of mangling it. `SAGA_FUZZ_SECONDS` says for how
//! long (default: some hundred pieces), `SAGA_FUZZ_SEED` from which seed; `cargo xtask fuzz` sets
//! them.

#![allow(missing_docs, reason = "tests are named as sentences")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use saga_fuzz::{TARGETS, feed};

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn takes_anything(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("there is such a target");
    let (seconds, seed) = (number("SAGA_FUZZ_SECONDS").unwrap_or(0), number("SAGA_FUZZ_SEED").unwrap_or(1));
    let fed = feed(target, seed, 500, Duration::from_secs(seconds));
    println!("{name}: {} pieces of the corpus, {} mangled, {} understood", fed.corpus, fed.mangled, fed.understood);
    assert!(fed.understood > fed.mangled / 200, "{fed:?}: the mangling is too rough to find anything");
}

#[test]
fn journal_takes_anything() {
    takes_anything("journal");
}

#[test]
fn payload_takes_anything() {
    takes_anything("payload");
}

#[test]
fn replay_takes_anything() {
    takes_anything("replay");
}

#[test]
fn tokens_take_anything() {
    takes_anything("tokens");
}

#[test]
fn address_takes_anything() {
    takes_anything("address");
}

#[test]
fn config_takes_anything() {
    takes_anything("config");
}

#[test]
fn a_target_that_panics_is_told_with_its_bytes() {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    fn takes_some(_: &[u8]) -> bool {
        TAKEN.fetch_add(1, Ordering::Relaxed) < 300 || panic!("enough")
    }
    fn take(bytes: &[u8]) -> bool {
        assert!(bytes.len() < 40, "too long for it");
        true
    }
    let target = saga_fuzz::Target { take, ..TARGETS[4] };
    let told = std::panic::catch_unwind(|| feed(&target, 1, 10_000, Duration::ZERO)).unwrap_err();
    let told = told.downcast_ref::<String>().unwrap();
    assert!(told.contains("address panics on"), "{told}");
    let target = saga_fuzz::Target { take: takes_some, ..TARGETS[0] };
    let told = std::panic::catch_unwind(|| feed(&target, 1, 10_000, Duration::ZERO)).unwrap_err();
    let told = told.downcast_ref::<String>().unwrap();
    assert!(told.contains("journal panics, seed 1, piece "), "{told}");
}
