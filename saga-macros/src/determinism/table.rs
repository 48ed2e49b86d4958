//! The refused paths, and what to write instead.
//!
//! `a::b` is that very path. `a::*` is each function below `a`: a path that goes on and ends in a
//! word with a small letter, so that types and constants can be named. The first match counts.

use super::rule::Rule::{self, Await, Clock, Env, Io, Random, Threads};

/// What is wrong with a path, and what to write instead.
pub(crate) struct Refused {
    pub(crate) rule: Rule,
    pub(crate) message: &'static str,
}

const TIME: &str = "reads the clock, and a replay would read another time: write `now()`, which the journal records";
const WAIT: &str = "waits by a timer that a crash forgets: write `sleep(…).await`, which the journal records";
const DICE: &str = "is random, and a replay would draw something else: write `random()`, which the journal records";
const UUID: &str = "makes a new id on each replay: write `new_uuid()`, which the journal records";
const VARS: &str = "reads the environment, and a replay may run in another: take it as an input, or record it by `side_effect(|| …).await`";
const FILE: &str = "touches files, and a replay would do it again: do it in an activity";
const NET: &str = "uses the network, and a replay would do it again: do it in an activity";
const PROC: &str = "acts on processes, and a replay would do it again: do it in an activity";
const STDIO: &str =
    "uses the process's streams, and a replay would do it again: do it in an activity; for messages use `tracing`";
const THREAD: &str =
    "runs out of the journal's sight: for steps at the same time use `join!`, for other work an activity";
const BLOCK: &str = "blocks the worker and awaits out of the journal's sight: write `.await`";
const FUTURE_TIMEOUT: &str = "gives up by a timer that a crash forgets: set `timeout` on the activity";

/// Ordinary values that stand below a refused `a::*`.
const PURE: &[&str] = &[
    "std::net::IpAddr::*",
    "std::net::Ipv4Addr::*",
    "std::net::Ipv6Addr::*",
    "std::net::SocketAddr::*",
    "std::net::SocketAddrV4::*",
    "std::net::SocketAddrV6::*",
    "std::process::ExitCode::*",
    "fastrand::Rng::with_seed",
];

pub(super) const TABLE: &[(&str, Rule, &str)] = &[
    ("std::time::SystemTime::now", Clock, TIME),
    ("std::time::Instant::now", Clock, TIME),
    ("std::time::SystemTime::elapsed", Clock, TIME),
    ("std::time::Instant::elapsed", Clock, TIME),
    ("SystemTime::now", Clock, TIME),
    ("Instant::now", Clock, TIME),
    ("chrono::Utc::now", Clock, TIME),
    ("chrono::Local::now", Clock, TIME),
    ("chrono::offset::Utc::now", Clock, TIME),
    ("chrono::offset::Local::now", Clock, TIME),
    ("chrono::prelude::Utc::now", Clock, TIME),
    ("chrono::prelude::Local::now", Clock, TIME),
    ("Utc::now", Clock, TIME),
    ("Local::now", Clock, TIME),
    ("time::OffsetDateTime::now_utc", Clock, TIME),
    ("time::OffsetDateTime::now_local", Clock, TIME),
    ("time::UtcDateTime::now", Clock, TIME),
    ("OffsetDateTime::now_utc", Clock, TIME),
    ("OffsetDateTime::now_local", Clock, TIME),
    ("UtcDateTime::now", Clock, TIME),
    ("jiff::Timestamp::now", Clock, TIME),
    ("jiff::Zoned::now", Clock, TIME),
    ("Zoned::now", Clock, TIME),
    ("tokio::time::Instant::now", Clock, TIME),
    ("std::thread::sleep", Clock, WAIT),
    ("std::thread::sleep_until", Clock, WAIT),
    ("tokio::time::sleep", Clock, WAIT),
    ("tokio::time::sleep_until", Clock, WAIT),
    ("tokio::time::interval", Clock, WAIT),
    ("tokio::time::interval_at", Clock, WAIT),
    ("tokio::time::timeout", Clock, FUTURE_TIMEOUT),
    ("tokio::time::timeout_at", Clock, FUTURE_TIMEOUT),
    ("async_std::task::sleep", Clock, WAIT),
    ("async_std::future::timeout", Clock, FUTURE_TIMEOUT),
    ("smol::Timer::*", Clock, WAIT),
    ("async_io::Timer::*", Clock, WAIT),
    ("futures_timer::Delay::*", Clock, WAIT),
    ("uuid::Uuid::new_v4", Random, UUID),
    ("uuid::Uuid::now_v1", Random, UUID),
    ("uuid::Uuid::now_v6", Random, UUID),
    ("uuid::Uuid::now_v7", Random, UUID),
    ("Uuid::new_v4", Random, UUID),
    ("Uuid::now_v1", Random, UUID),
    ("Uuid::now_v6", Random, UUID),
    ("Uuid::now_v7", Random, UUID),
    ("ulid::Ulid::new", Random, UUID),
    ("Ulid::new", Random, UUID),
    ("rand::random", Random, DICE),
    ("rand::random_bool", Random, DICE),
    ("rand::random_iter", Random, DICE),
    ("rand::random_range", Random, DICE),
    ("rand::random_ratio", Random, DICE),
    ("rand::fill", Random, DICE),
    ("rand::make_rng", Random, DICE),
    ("rand::rng", Random, DICE),
    ("rand::thread_rng", Random, DICE),
    ("rand::prelude::random", Random, DICE),
    ("rand::prelude::thread_rng", Random, DICE),
    ("rand::rngs::OsRng", Random, DICE),
    ("rand::rngs::SysRng", Random, DICE),
    ("rand::rngs::StdRng::from_entropy", Random, DICE),
    ("rand::rngs::StdRng::from_os_rng", Random, DICE),
    ("rand::rngs::SmallRng::from_entropy", Random, DICE),
    ("rand::rngs::SmallRng::from_os_rng", Random, DICE),
    ("StdRng::from_entropy", Random, DICE),
    ("StdRng::from_os_rng", Random, DICE),
    ("SmallRng::from_entropy", Random, DICE),
    ("SmallRng::from_os_rng", Random, DICE),
    ("rand_core::OsRng", Random, DICE),
    ("getrandom::*", Random, DICE),
    ("fastrand::*", Random, DICE),
    ("std::hash::RandomState::new", Random, DICE),
    ("std::collections::hash_map::RandomState::new", Random, DICE),
    ("std::process::id", Env, VARS),
    ("std::env::*", Env, VARS),
    ("std::fs::*", Io, FILE),
    ("tokio::fs::*", Io, FILE),
    ("async_std::fs::*", Io, FILE),
    ("async_fs::*", Io, FILE),
    ("smol::fs::*", Io, FILE),
    ("std::net::*", Io, NET),
    ("std::os::unix::net::*", Io, NET),
    ("tokio::net::*", Io, NET),
    ("async_std::net::*", Io, NET),
    ("smol::net::*", Io, NET),
    ("reqwest::get", Io, NET),
    ("reqwest::blocking::*", Io, NET),
    ("std::process::*", Io, PROC),
    ("tokio::process::*", Io, PROC),
    ("tokio::signal::*", Io, PROC),
    ("async_std::process::*", Io, PROC),
    ("async_process::*", Io, PROC),
    ("smol::process::*", Io, PROC),
    ("std::io::stdin", Io, STDIO),
    ("std::io::stdout", Io, STDIO),
    ("std::io::stderr", Io, STDIO),
    ("tokio::io::stdin", Io, STDIO),
    ("tokio::io::stdout", Io, STDIO),
    ("tokio::io::stderr", Io, STDIO),
    ("futures::executor::block_on", Await, BLOCK),
    ("futures_executor::block_on", Await, BLOCK),
    ("futures_lite::future::block_on", Await, BLOCK),
    ("async_std::task::block_on", Await, BLOCK),
    ("async_io::block_on", Await, BLOCK),
    ("smol::block_on", Await, BLOCK),
    ("smol::future::block_on", Await, BLOCK),
    ("pollster::block_on", Await, BLOCK),
    ("tokio::runtime::*", Threads, THREAD),
    ("std::thread::*", Threads, THREAD),
    ("tokio::spawn", Threads, THREAD),
    ("tokio::task::*", Threads, THREAD),
    ("async_std::task::*", Threads, THREAD),
    ("smol::spawn", Threads, THREAD),
    ("smol::unblock", Threads, THREAD),
    ("blocking::unblock", Threads, THREAD),
    ("rayon::*", Threads, THREAD),
];

/// What is wrong with this path, if anything is.
pub(crate) fn refused(path: &[String]) -> Option<Refused> {
    if PURE.iter().any(|pattern| matches(pattern, path)) {
        return None;
    }
    let (_, rule, message) = TABLE.iter().find(|(pattern, ..)| matches(pattern, path))?;
    Some(Refused { rule: *rule, message })
}

pub(super) fn matches(pattern: &str, path: &[String]) -> bool {
    match pattern.strip_suffix("::*") {
        None => pattern.split("::").eq(path.iter().map(String::as_str)),
        Some(below) => {
            let below = below.split("::").collect::<Vec<_>>();
            path.len() > below.len()
                && path.iter().zip(&below).all(|(word, wanted)| word == wanted)
                && path.last().is_some_and(|word| word.starts_with(char::is_lowercase))
        }
    }
}

/// Macros that print.
const PRINTING: &[&str] = &["print", "println", "eprint", "eprintln", "dbg"];

/// Whether the macro of this path prints.
pub(crate) fn prints(path: &[String]) -> bool {
    match path {
        [name] => PRINTING.contains(&name.as_str()),
        [root, name] => root == "std" && PRINTING.contains(&name.as_str()),
        _ => false,
    }
}

/// Macros that await what they are given, out of the rewrite's sight.
const AWAITING: &[&str] = &["join", "try_join", "select", "select_biased", "join_all"];

/// Crates that have such macros.
const FOREIGN: &[&str] =
    &["tokio", "futures", "futures_util", "futures_lite", "async_std", "smol", "futures_concurrency"];

/// What to write instead of a macro that awaits, if it is a foreign one.
pub(crate) fn foreign_macro(path: &[String]) -> Option<&'static str> {
    let [root, .., name] = path else { return None };
    if !FOREIGN.contains(&root.as_str()) || !AWAITING.contains(&name.as_str()) {
        return None;
    }
    Some(match name.as_str() {
        "join" | "join_all" => "join",
        "try_join" => "try_join",
        _ => "select",
    })
}

/// Macros that evaluate what they are given only where a build or a configuration says so.
const SOMETIMES: &[(&str, &[&str])] = &[
    (
        "where somebody listens",
        &[
            "debug",
            "debug_span",
            "error",
            "error_span",
            "event",
            "info",
            "info_span",
            "log",
            "span",
            "trace",
            "trace_span",
            "warn",
            "warn_span",
        ],
    ),
    ("in debug builds", &["debug_assert", "debug_assert_eq", "debug_assert_ne"]),
];

/// Where alone a macro of this name evaluates what it is given, if not everywhere.
pub(crate) fn evaluates_only(name: &str) -> Option<&'static str> {
    SOMETIMES.iter().find(|(_, names)| names.contains(&name)).map(|(place, _)| *place)
}

/// Macros that evaluate what they are given where they stand.
const TRANSPARENT: &[&str] = &[
    "anyhow",
    "assert",
    "assert_eq",
    "assert_matches",
    "assert_ne",
    "bail",
    "btreemap",
    "btreeset",
    "cfg",
    "dbg",
    "ensure",
    "eprint",
    "eprintln",
    "eyre",
    "format",
    "format_args",
    "indexmap",
    "join",
    "json",
    "matches",
    "panic",
    "pin",
    "print",
    "println",
    "ready",
    "select",
    "smallvec",
    "todo",
    "try_join",
    "unimplemented",
    "unreachable",
    "vec",
    "write",
    "writeln",
];

/// Whether an await among the arguments of this macro stays in the workflow.
pub(crate) fn transparent(name: &str) -> bool {
    TRANSPARENT.contains(&name)
}

/// Functions that are given futures: calls of activities fit there once the one error is mended.
pub(crate) fn takes_a_future(path: &[String]) -> bool {
    const NAMES: &[&str] = &["spawn", "spawn_local", "block_on", "timeout", "timeout_at"];
    matches!(path, [root, .., name] if root != "std" && root != "rayon" && NAMES.contains(&name.as_str()))
}
