//! Module docs, line budget, changelog, examples, docs of what a workflow can say.

use crate::source::{Source, Violation};

const BUDGET: usize = 500;

/// Each module says at its beginning what it is for.
pub(crate) fn module_docs(source: &Source) -> Vec<Violation> {
    let first = source.text.lines().find(|line| !line.trim().is_empty() && !line.starts_with("#![allow"));
    if first.is_some_and(|line| line.starts_with("//!") || line.starts_with("#![doc")) {
        Vec::new()
    } else {
        vec![source.violation(1, "a module begins with `//!` and a line that says what it is for")]
    }
}

/// A file can be read in one sitting.
pub(crate) fn line_budget(source: &Source) -> Vec<Violation> {
    let lines = source.text.lines().count();
    if lines <= BUDGET {
        Vec::new()
    } else {
        vec![source.violation(lines, format!("{lines} lines; split it, {BUDGET} are the most"))]
    }
}

/// There is a place for the next line of the changelog.
pub(crate) fn changelog(source: Option<&Source>) -> Vec<Violation> {
    let missing = Source { path: "CHANGELOG.md".to_owned(), text: String::new() };
    let source = source.unwrap_or(&missing);
    if source.lines().any(|(_, line)| line.trim() == "## [Unreleased]") {
        Vec::new()
    } else {
        vec![source.violation(1, "there is no `## [Unreleased]` section")]
    }
}

/// An example's docs begin with a sentence and say how to run it.
pub(crate) fn example_purpose(source: &Source) -> Vec<Violation> {
    let has_main = source.lines().any(|(_, line)| line.starts_with("fn main(") || line.starts_with("async fn main("));
    if !source.path.starts_with("examples/") || !has_main {
        return Vec::new();
    }
    let docs: Vec<&str> = source.text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim).collect();
    let mut found = Vec::new();
    let paragraph = docs.iter().take_while(|line| !line.is_empty()).copied().collect::<Vec<_>>().join(" ");
    if !paragraph.contains(['.', ':']) {
        found.push(source.violation(1, "an example's docs begin with a sentence that says its purpose"));
    }
    if !docs.iter().any(|line| line.contains("cargo run")) {
        found.push(source.violation(1, "an example's docs show the `cargo run` command that runs it"));
    }
    found
}

/// What these give follows from the run's seed or its records; there is nothing that could be lost.
const GIVEN: [&str; 4] = ["now", "random", "new_uuid", "deprecate_patch"];

/// What a workflow can say tells what is recorded, and what a crash and a cancel do to it.
pub(crate) fn constructs(source: &Source) -> Vec<Violation> {
    if !source.path.starts_with("saga-runtime/src/ops/") {
        return Vec::new();
    }
    let (mut found, mut docs, mut exported) = (Vec::new(), String::new(), false);
    for (number, line) in source.lines() {
        let name = line.strip_prefix("pub fn ").or_else(|| line.strip_prefix("macro_rules! ").filter(|_| exported));
        if let Some(line) = line.strip_prefix("///") {
            docs.push_str(line);
            continue;
        }
        if line.starts_with("#[") {
            exported |= line.starts_with("#[macro_export");
            continue;
        }
        if let Some(name) = name.and_then(|name| name.split(['<', '(', ' ']).next()) {
            let said = docs.to_lowercase();
            let asked = if GIVEN.contains(&name) { &["record"][..] } else { &["record", "crash", "cancel"] };
            found.extend(asked.iter().filter(|word| !said.contains(*word)).map(|word| {
                source.violation(number, format!("the docs of `{name}` say what is recorded, and what a crash and a cancel do; \"{word}\" is missing"))
            }));
        }
        (docs, exported) = (String::new(), false);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_construct_that_does_not_say_what_a_crash_does_is_found() {
        let ops = |text: &str| constructs(&Source::new("saga-runtime/src/ops/nap.rs", text)).len();
        assert_eq!(ops("/// Recorded once. A cancel ends it.\n#[must_use]\npub fn nap<T>() {}\n"), 1);
        assert_eq!(ops("/// Recorded once. A cancel ends it,\n/// a crash does not.\npub fn nap() {}\n"), 0);
        assert_eq!(ops("/// Naps.\n#[macro_export]\nmacro_rules! nap {\n"), 3);
        assert_eq!(ops("macro_rules! inner {\n"), 0);
        assert_eq!(ops("/// Records nothing.\npub fn now() {}\n"), 0);
    }

    #[test]
    fn a_module_without_docs_is_found() {
        assert_eq!(module_docs(&Source::new("a.rs", "use std::fmt;\n//! Late.\n")).len(), 1);
        assert_eq!(module_docs(&Source::new("a.rs", "")).len(), 1);
        assert_eq!(module_docs(&Source::new("a.rs", "\n//! What it is for.\n")).len(), 0);
    }

    #[test]
    fn a_long_file_is_found() {
        assert_eq!(line_budget(&Source::new("a.rs", &"\n".repeat(BUDGET + 1))).len(), 1);
        assert_eq!(line_budget(&Source::new("a.rs", &"\n".repeat(BUDGET))).len(), 0);
    }

    #[test]
    fn a_changelog_without_its_section_is_found() {
        assert_eq!(changelog(None).len(), 1);
        assert_eq!(changelog(Some(&Source::new("CHANGELOG.md", "## [1.0.0]\n"))).len(), 1);
        assert_eq!(changelog(Some(&Source::new("CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n"))).len(), 0);
    }

    #[test]
    fn an_example_without_purpose_or_command_is_found() {
        let example = |docs: &str| Source::new("examples/a/main.rs", &format!("{docs}fn main() {{}}\n"));
        assert_eq!(example_purpose(&example("")).len(), 2);
        assert_eq!(example_purpose(&example("//! Moves money.\n")).len(), 1);
        assert_eq!(example_purpose(&example("//! Moves money.\n//!\n//! Run: `cargo run --bin a`\n")).len(), 0);
        assert_eq!(example_purpose(&Source::new("examples/src/lib.rs", "fn helper() {}\n")).len(), 0);
    }
}
