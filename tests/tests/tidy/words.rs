//! What must not be named, and where.

use crate::source::{Source, Violation};

/// Modules of the runtime that are functions of their inputs.
const CORE: [&str; 5] = ["context", "machine", "journal", "undo", "ops"];

const IMPURE: [(&str, &str); 7] = [
    ("tokio::", "the core starts nothing and waits for nothing"),
    ("SystemTime", "the core's time is that of the last record"),
    ("Instant", "the core's time is that of the last record"),
    ("HashMap", "its order differs from run to run; use a BTreeMap"),
    ("HashSet", "its order differs from run to run; use a BTreeSet"),
    ("from_system_clock", "the core's time is that of the last record"),
    ("Uuid::new", "the core's random values derive from the run's seed"),
];

/// Notes for later and tests that do not run. Notes are looked for in comments too.
pub(crate) fn unfinished(source: &Source) -> Vec<Violation> {
    let notes = [concat!("TO", "DO"), concat!("FIX", "ME")];
    let mut found = Vec::new();
    if ["rs", "md", "toml", "sql", "sh"].iter().any(|extension| source.has_extension(extension)) {
        for (number, line) in source.lines() {
            for note in notes.iter().filter(|note| names(line, note)) {
                found.push(source.violation(number, format!("`{note}`: do it, or leave it out")));
            }
        }
    }
    if source.is_rust() {
        let ignored = |line: &str| line.trim_start_matches(['/', '!', ' ']).starts_with("```ignore");
        for (number, _) in source.lines().filter(|(_, line)| ignored(line)) {
            found.push(source.violation(number, "an example that is not compiled; `text` is for what is no program"));
        }
        for (number, line) in source.code() {
            for code in ["todo!", "unimplemented!", "#[ignore", "#[should_panic"] {
                if names(&line, code) {
                    found.push(source.violation(number, format!("`{code}` does not belong into finished code")));
                }
            }
        }
    }
    found
}

/// Whatever would make a replay differ from the run.
pub(crate) fn impure_core(source: &Source) -> Vec<Violation> {
    let Some(module) = source.path.strip_prefix("saga-runtime/src/") else { return Vec::new() };
    let module = module.split(['/', '.']).next().unwrap_or_default();
    if !CORE.iter().any(|core| module.starts_with(core)) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (number, line) in source.code_before_tests() {
        for (word, why) in IMPURE.iter().filter(|(word, _)| names(&line, word)) {
            found.push(source.violation(number, format!("`{word}` in a core module: {why}")));
        }
    }
    found
}

/// Tests that wait for time to pass are slow when they pass and wrong when the machine is busy.
pub(crate) fn sleeping_tests(source: &Source) -> Vec<Violation> {
    let sleeps = |line: &str| {
        names(line, "thread::sleep") || names(line, "time::sleep") || line.contains("time::{") && names(line, "sleep")
    };
    source
        .test_code()
        .into_iter()
        .filter(|(_, line)| sleeps(line))
        .map(|(number, _)| source.violation(number, "a test sleeps; wait for a signal, or inject the clock"))
        .collect()
}

/// Whether the line has `what`, not as a part of a longer word. A path's last segment may go on: `Uuid::new_v4`.
pub(crate) fn names(line: &str, what: &str) -> bool {
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(what).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + what.len()..].chars().next();
        let starts = !what.starts_with(in_word) || !before.is_some_and(in_word);
        let ends = !what.ends_with(in_word) || what.contains("::new") || !after.is_some_and(in_word);
        starts && ends
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_for_later_are_found_in_comments_and_unfinished_code_in_code() {
        let note = format!("// {}: later\n", concat!("TO", "DO"));
        assert_eq!(unfinished(&Source::new("a.rs", &note)).len(), 1);
        assert_eq!(unfinished(&Source::new("a.md", &note)).len(), 1);
        assert_eq!(unfinished(&Source::new("a.rs", "fn f() { todo!() }")).len(), 1);
        assert_eq!(
            unfinished(&Source::new("a.rs", "#[ignore = \"slow\"]\n#[should_panic(expected = \"x\")]")).len(),
            2
        );
        assert_eq!(unfinished(&Source::new("a.rs", "//! ```ignore\n//! f();\n//! ```\n")).len(), 1);
        assert_eq!(unfinished(&Source::new("a.rs", "// `todo!` and METHODO are fine here\n")).len(), 0);
    }

    #[test]
    fn an_impure_core_is_found_outside_its_tests() {
        let text = "use std::collections::HashMap;\nlet a = Instant::now();\ntokio::spawn(f());\nUuid::new_v4();\n";
        assert_eq!(impure_core(&Source::new("saga-runtime/src/machine/mod.rs", text)).len(), 4);
        assert_eq!(impure_core(&Source::new("saga-runtime/src/context.rs", text)).len(), 4);
        assert_eq!(impure_core(&Source::new("saga-runtime/src/engine/mod.rs", text)).len(), 0);
        let tested = format!("#[cfg(test)]\nmod tests {{\n{text}}}\n");
        assert_eq!(impure_core(&Source::new("saga-runtime/src/machine/mod.rs", &tested)).len(), 0);
        let prose = "/// Unlike tokio::time::Instant.\nfn f() -> InstantLike {}\n";
        assert_eq!(impure_core(&Source::new("saga-runtime/src/ops/sleep.rs", prose)).len(), 0);
    }

    #[test]
    fn a_sleeping_test_is_found() {
        let sleeps =
            "fn t() { std::thread::sleep(d); }\nuse tokio::time::{sleep, timeout};\ntokio::time::sleep(d).await;\n";
        assert_eq!(sleeping_tests(&Source::new("tests/tests/it.rs", sleeps)).len(), 3);
        assert_eq!(sleeping_tests(&Source::new("a/src/lib.rs", sleeps)).len(), 0);
        let durable = "use saga_runtime::sleep;\nsleep(DAY).await;\nuse std::time::{Duration, SystemTime};\n";
        assert_eq!(sleeping_tests(&Source::new("tests/tests/it.rs", durable)).len(), 0);
    }
}
