//! Waiting for other processes: a condition is looked at again and again, with a limit that is
//! reached only by what has failed.

use std::time::{Duration, Instant};

/// What takes longer has failed.
const LIMIT: Duration = Duration::from_secs(120);

/// So much time passes between two looks.
const BETWEEN_LOOKS: Duration = Duration::from_millis(40);

/// Looks until the condition holds.
///
/// # Panics
///
/// If that takes minutes.
pub fn until(what: &str, condition: impl FnMut() -> bool) {
    assert!(holds_in_time(condition), "waited in vain until {what}");
}

/// Looks until the condition holds, or for minutes; whether it does.
pub fn holds_in_time(mut condition: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while !condition() {
        if begun.elapsed() > LIMIT {
            return false;
        }
        std::thread::park_timeout(BETWEEN_LOOKS);
    }
    true
}

/// Lets a fault last for so long, or until the condition holds that ends it. Nothing may rely on
/// what others do meanwhile.
pub fn last(long: Duration, mut over: impl FnMut() -> bool) {
    let begun = Instant::now();
    while begun.elapsed() < long && !over() {
        std::thread::park_timeout(BETWEEN_LOOKS.min(long));
    }
}
