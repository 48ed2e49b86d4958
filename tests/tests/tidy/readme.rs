//! Commands and links of the documents.

use crate::source::{Source, Tree, Violation};

/// Each command that a document tells to run exists.
pub(crate) fn commands(tree: &Tree, document: &Source) -> Vec<Violation> {
    let mut found = Vec::new();
    for (number, command) in commands_in(document) {
        if let Some(what) = missing(tree, &command) {
            found.push(document.violation(number, format!("`{command}`: {what}")));
        }
    }
    found
}

/// The lines of shell blocks, and what stands in backticks and begins as a command.
fn commands_in(document: &Source) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut block = None;
    for (number, line) in document.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            block = if block.is_none() { Some(language.trim().to_owned()) } else { None };
            continue;
        }
        match &block {
            Some(language) if ["sh", "bash", "console"].contains(&language.as_str()) => {
                let command = line.split(" #").next().unwrap_or_default().trim().trim_start_matches("$ ");
                found.push((number, command.to_owned()));
            }
            Some(_) => {}
            None => found.extend(line.split('`').skip(1).step_by(2).map(|code| (number, code.trim().to_owned()))),
        }
    }
    found.retain(|(_, command)| without_variables(command).starts_with("cargo ") || command.starts_with(".ci/"));
    found
}

fn without_variables(command: &str) -> &str {
    let is_variable = |word: &str| word.split_once('=').is_some_and(|(name, _)| !name.starts_with('-'));
    let skipped: usize = command.split_inclusive(' ').take_while(|word| is_variable(word)).map(str::len).sum();
    &command[skipped..]
}

/// What a command names that is not there.
fn missing(tree: &Tree, command: &str) -> Option<String> {
    let words: Vec<&str> = without_variables(command).split_whitespace().take_while(|&word| word != "--").collect();
    let program = words.first()?;
    if *program != "cargo" {
        return (!tree.has(program)).then(|| format!("there is no file {program}"));
    }
    if words.get(1) == Some(&"xtask") {
        let chore = format!("[\"{}\"", words.get(2)?);
        let known = tree.file("xtask/src/main.rs").is_some_and(|main| main.text.contains(&chore));
        return (!known).then(|| format!("`cargo xtask` has no chore {}", words[2]));
    }
    let value = |flags: [&str; 2]| words.windows(2).find(|pair| flags.contains(&pair[0])).map(|pair| pair[1]);
    if let Some(binary) = value(["--bin", "--bin"])
        && !declares(tree, "bin", binary)
    {
        return Some(format!("there is no program {binary}"));
    }
    if let Some(package) = value(["-p", "--package"])
        && !declares(tree, "package", package)
    {
        return Some(format!("there is no package {package}"));
    }
    if let (Some(package), Some(test)) = (value(["-p", "--package"]), value(["--test", "--test"])) {
        let folder = package.strip_prefix("saga-tests").map_or(package, |_| "tests");
        let file = format!("{folder}/tests/{test}.rs");
        if !tree.has(&file) && !tree.has(&format!("{folder}/tests/{test}/main.rs")) {
            return Some(format!("there is no test {test} in {package}"));
        }
    }
    None
}

/// Whether a manifest has `[package]` or `[[bin]]` of that name.
fn declares(tree: &Tree, kind: &str, name: &str) -> bool {
    let wanted = format!("name = \"{name}\"");
    let header = |line: &str| line.trim_matches(['[', ']']).to_owned();
    tree.all().filter(|source| source.path.ends_with("Cargo.toml")).any(|manifest| {
        let mut section = String::new();
        manifest.text.lines().any(|line| {
            if line.starts_with('[') {
                section = header(line);
            }
            section == kind && line == wanted
        })
    }) || kind == "bin" && tree.all().any(|source| source.path.ends_with(&format!("/src/bin/{name}.rs")))
}

/// Each relative link leads to a file or folder.
pub(crate) fn links(tree: &Tree, document: &Source) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut in_block = false;
    for (number, line) in document.lines() {
        in_block ^= line.trim_start().starts_with("```");
        if in_block {
            continue;
        }
        for target in targets(line) {
            let file = target.split('#').next().unwrap_or_default();
            let is_external = file.contains("://") || file.starts_with("mailto:") || file.is_empty();
            if !is_external && !tree.has(&resolve(&document.path, file)) {
                found.push(document.violation(number, format!("the link to {target} leads nowhere")));
            }
        }
    }
    found
}

/// What stands in the parentheses of `[text](target)`.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target.trim())
}

/// A link's target as a path from the root.
fn resolve(document: &str, target: &str) -> String {
    let mut parts: Vec<&str> = document.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        Tree::of(&[
            (".ci/run", ""),
            ("docs/guide.md", ""),
            ("examples/Cargo.toml", "[package]\nname = \"saga-examples\"\n[[bin]]\nname = \"order-saga\"\n"),
            ("tests/Cargo.toml", "[package]\nname = \"saga-tests\"\n"),
            ("tests/tests/tidy/main.rs", ""),
            ("xtask/src/main.rs", "[\"test\"] => test(),"),
        ])
    }

    fn check(text: &str) -> Vec<String> {
        commands(&tree(), &Source::new("README.md", text)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_command_that_names_something_missing_is_found() {
        let text = "```sh\ncargo run --release --bin ghost\ncargo xtask dance\n```\nand `X=1 cargo test -p ghost`, \
                    `cargo test -p saga-tests --test ghost`, `.ci/ghost`\n";
        let found = check(text);
        assert_eq!(found.len(), 5, "{found:#?}");
        assert_eq!(found[0], "README.md:2: `cargo run --release --bin ghost`: there is no program ghost");
    }

    #[test]
    fn commands_that_exist_pass_and_other_code_is_passed_over() {
        let text = "```sh\ncargo run --release --bin order-saga -- --bin ghost  # cargo xtask dance\n$ cargo xtask test\n\
                    .ci/run\n```\n```text\ncargo xtask dance\n```\n`cargo test -p saga-tests --test tidy`, `--bin ghost`\n";
        assert_eq!(check(text), Vec::<String>::new());
    }

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        let text = "[a](docs/guide.md#part) [b](https://x.y/z) [c](#here) [d](docs) [e](docs/ghost.md)\n";
        let found = links(&tree(), &Source::new("README.md", text));
        assert_eq!(found.len(), 1);
        assert!(found[0].to_string().starts_with("README.md:1: the link to docs/ghost.md"));
        assert_eq!(links(&tree(), &Source::new("docs/other.md", "[a](../.ci/run) [b](guide.md)\n")).len(), 0);
    }
}
