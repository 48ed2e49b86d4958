//! Which crate and which module may name which.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::source::{Source, Tree, Violation, blank};
use crate::words::names;

/// A crate that others build on.
pub(crate) struct Library {
    folder: &'static str,
    /// Crates of ours that its manifest may name.
    needs: &'static [&'static str],
    /// Crates of ours that its source may name beside those: in code that it generates.
    generates: &'static [&'static str],
}

pub(crate) const LIBRARIES: [Library; 7] = [
    Library { folder: "saga-store", needs: &[], generates: &[] },
    Library { folder: "saga-macros", needs: &[], generates: &["saga-runtime"] },
    Library { folder: "saga-runtime", needs: &["saga-macros", "saga-store"], generates: &["saga-runtime"] },
    Library { folder: "saga-sqlite", needs: &["saga-store"], generates: &[] },
    Library { folder: "saga-postgres", needs: &["saga-store"], generates: &[] },
    Library { folder: "saga-blobs", needs: &["saga-store"], generates: &[] },
    Library { folder: "saga-seal", needs: &["saga-store"], generates: &[] },
];

impl Library {
    fn of(path: &str) -> Option<&'static Self> {
        LIBRARIES.iter().find(|library| path.strip_prefix(library.folder).is_some_and(|rest| rest.starts_with('/')))
    }
}

/// A library's source names only the crates of ours that it stands upon.
pub(crate) fn foreign_crates(source: &Source) -> Vec<Violation> {
    let Some(library) = Library::of(&source.path).filter(|_| source.path.contains("/src/")) else { return Vec::new() };
    let mut found = Vec::new();
    for (number, line) in source.code() {
        for other in LIBRARIES.iter().map(|library| library.folder) {
            let allowed = library.needs.contains(&other) || library.generates.contains(&other);
            if !allowed && names(&line, &other.replace('-', "_")) {
                found.push(source.violation(number, format!("{} must not know {other}", library.folder)));
            }
        }
    }
    found
}

/// A library's manifest needs only the crates of ours that it stands upon.
pub(crate) fn manifest(source: &Source) -> Vec<Violation> {
    let Some(library) = Library::of(&source.path).filter(|_| source.path.ends_with("/Cargo.toml")) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut in_dependencies = false;
    for (number, line) in source.lines() {
        if line.starts_with('[') {
            in_dependencies = line.trim() == "[dependencies]";
        }
        let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
        if in_dependencies && name.starts_with("saga-") && !library.needs.contains(&name) {
            found.push(source.violation(number, format!("{} must not depend on {name}", library.folder)));
        }
    }
    found
}

/// Top-level modules of a library import one another one way.
pub(crate) fn cycles(tree: &Tree, library: &Library) -> Vec<Violation> {
    let root = format!("{}/src/", library.folder);
    let module_of = |source: &Source| {
        let name = source.path.strip_prefix(&root)?.split(['/', '.']).next()?;
        (name != "lib").then(|| name.to_owned())
    };
    let modules: BTreeSet<String> = tree.rust().filter_map(module_of).collect();
    let reexports = tree.file(&format!("{root}lib.rs")).map(|lib| reexports(&lib.text, &modules)).unwrap_or_default();

    let mut edges: BTreeMap<(String, String), Violation> = BTreeMap::new();
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in tree.rust() {
        let Some(module) = module_of(source) else { continue };
        for (line, name) in crate_names(source, &root) {
            let Some(target) = modules.get(&name).or_else(|| reexports.get(&name)) else { continue };
            if *target != module {
                graph.entry(module.clone()).or_default().insert(target.clone());
                edges.entry((module.clone(), target.clone())).or_insert_with(|| source.violation(line, String::new()));
            }
        }
    }
    let in_cycle = |((from, to), place): (&(String, String), &Violation)| {
        let back = path(&graph, to, from)?;
        Some(place.clone().with(format!("a cycle of modules: {from} → {}", back.join(" → "))))
    };
    edges.iter().filter_map(in_cycle).collect()
}

/// Which module each name stands in that `lib.rs` lifts to the crate's root.
fn reexports(lib: &str, modules: &BTreeSet<String>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for statement in blank(lib).split(';') {
        let Some((_, path)) = statement.rsplit_once("use ") else { continue };
        let mut words = path.split(|c: char| !is_word(c)).filter(|word| !word.is_empty());
        let Some(module) = words.find(|word| !["crate", "self"].contains(word)).and_then(|word| modules.get(word))
        else {
            continue;
        };
        found.extend(words.map(|name| (name.to_owned(), module.clone())));
    }
    found
}

/// Each name that follows `crate::`, or as many `super::` as lead to the crate's root, with its line.
fn crate_names(source: &Source, root: &str) -> Vec<(usize, String)> {
    let inner = source.path.strip_prefix(root).unwrap_or_default();
    let depth = inner.split('/').filter(|part| *part != "mod.rs").count();
    let code: Vec<String> = source.code_before_tests().into_iter().map(|(_, line)| line).collect();
    let code = code.join("\n");
    let to_root = "super::".repeat(depth);
    let mut found = Vec::new();
    for prefix in ["crate::", to_root.as_str()] {
        for (at, _) in code.match_indices(prefix) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| is_word(c) || c == '$' || c == ':') {
                continue;
            }
            let line = code[..at].matches('\n').count() + 1;
            found.extend(first_names(&code[at + prefix.len()..]).into_iter().map(|name| (line, name)));
        }
    }
    found
}

/// The first segment of the path that begins here, or of each path of the group that does.
fn first_names(rest: &str) -> Vec<String> {
    let word = |text: &str| text.trim_start().chars().take_while(|&c| is_word(c)).collect::<String>();
    let Some(group) = rest.strip_prefix('{') else { return vec![word(rest)] };
    let mut names = vec![word(group)];
    let mut depth = 1;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => names.push(word(&group[at + 1..])),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The shortest way from one module to another.
fn path(graph: &BTreeMap<String, BTreeSet<String>>, from: &str, to: &str) -> Option<Vec<String>> {
    let mut queue = VecDeque::from([vec![from.to_owned()]]);
    let mut seen = BTreeSet::from([from.to_owned()]);
    while let Some(way) = queue.pop_front() {
        let last = way.last()?;
        if last == to {
            return Some(way);
        }
        for next in graph.get(last).into_iter().flatten() {
            if seen.insert(next.clone()) {
                queue.push_back([&way[..], std::slice::from_ref(next)].concat());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found_in(files: &[(&str, &str)]) -> Vec<String> {
        let tree = Tree::of(files);
        LIBRARIES.iter().flat_map(|library| cycles(&tree, library)).map(|found| found.to_string()).collect()
    }

    #[test]
    fn a_crate_that_names_one_above_it_is_found() {
        let text = "use saga_store::Store;\nuse saga_sqlite::SqliteStore;\n";
        assert_eq!(foreign_crates(&Source::new("saga-runtime/src/engine/mod.rs", text)).len(), 1);
        assert_eq!(foreign_crates(&Source::new("saga-sqlite/src/lib.rs", "use saga_runtime::Engine;")).len(), 1);
        assert_eq!(foreign_crates(&Source::new("saga-sqlite/src/lib.rs", "// use saga_runtime::Engine;")).len(), 0);
        assert_eq!(foreign_crates(&Source::new("tests/src/lib.rs", text)).len(), 0);
    }

    #[test]
    fn a_manifest_that_needs_a_crate_above_it_is_found() {
        let text = "[dependencies]\nsaga-runtime = { workspace = true }\n[dev-dependencies]\nsaga-sqlite = \"1\"\n";
        assert_eq!(manifest(&Source::new("saga-store/Cargo.toml", text)).len(), 1);
        assert_eq!(manifest(&Source::new("examples/Cargo.toml", text)).len(), 0);
    }

    #[test]
    fn a_cycle_is_found_with_its_places() {
        let found = found_in(&[
            ("saga-store/src/a.rs", "//! A.\nuse crate::b::B;\n"),
            ("saga-store/src/b/mod.rs", "//! B.\nfn f(c: super::c::C) {}\n"),
            ("saga-store/src/c.rs", "//! C.\nuse crate::{\n    d::D,\n    a::{A, E},\n};\n"),
            ("saga-store/src/d.rs", "//! D.\n"),
        ]);
        assert_eq!(
            found,
            [
                "saga-store/src/a.rs:2: a cycle of modules: a → b → c → a",
                "saga-store/src/b/mod.rs:2: a cycle of modules: b → c → a → b",
                "saga-store/src/c.rs:2: a cycle of modules: c → a → b → c",
            ]
        );
    }

    #[test]
    fn a_cycle_through_the_root_of_the_crate_is_found() {
        let found = found_in(&[
            ("saga-store/src/lib.rs", "mod a;\nmod b;\npub use a::{A, Other as Renamed};\n"),
            ("saga-store/src/a.rs", "use crate::b::B;\n"),
            ("saga-store/src/b/inner.rs", "use super::super::Renamed;\n"),
        ]);
        assert_eq!(found.len(), 2, "{found:#?}");
    }

    #[test]
    fn one_way_imports_and_imports_of_tests_are_no_cycle() {
        let found = found_in(&[
            ("saga-store/src/a.rs", "use crate::b::B;\nuse self::inner::C;\n"),
            ("saga-store/src/a/inner.rs", "use super::A;\n"),
            ("saga-store/src/b.rs", "use std::fmt;\n#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}\n"),
        ]);
        assert_eq!(found, Vec::<String>::new());
    }
}
