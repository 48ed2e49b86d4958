//! Holds the source tree to its style: what can be checked by reading text is checked here.
//!
//! Each rule is shown able to fail on a small text beside it; here the rules meet the tree.
//!
//! - `source`: the tree, its files, and code without comments and strings.
//! - `shape`: module docs, line budget, changelog, examples, docs of what a workflow can say.
//! - `words`: what must not be named, and where.
//! - `imports`: which crate and which module may name which.
//! - `readme`: commands and links of the documents.

mod imports;
mod readme;
mod shape;
mod source;
mod words;

use source::{Tree, Violation};

/// Fails with all violations, each with its place, so that one run shows all that is wrong.
#[track_caller]
fn assert_tidy(mut violations: Vec<Violation>) {
    violations.sort();
    let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "{} violations:\n{}", lines.len(), lines.join("\n"));
}

fn rust(rule: impl Fn(&source::Source) -> Vec<Violation>) -> Vec<Violation> {
    Tree::read().rust().flat_map(rule).collect()
}

#[test]
fn the_tree_is_found() {
    let tree = Tree::read();
    for path in ["README.md", "saga-store/src/lib.rs", "saga-runtime/src/lib.rs", "tests/tests/tidy/main.rs"] {
        assert!(tree.file(path).is_some(), "{path} is not in the tree that the rules see");
    }
}

#[test]
fn each_module_begins_with_its_docs() {
    assert_tidy(rust(shape::module_docs));
}

#[test]
fn no_source_is_longer_than_its_budget() {
    assert_tidy(rust(shape::line_budget));
}

#[test]
fn the_changelog_has_an_unreleased_section() {
    assert_tidy(shape::changelog(Tree::read().file("CHANGELOG.md")));
}

#[test]
fn each_example_says_its_purpose_and_how_to_run_it() {
    assert_tidy(rust(shape::example_purpose));
}

#[test]
fn each_construct_says_what_is_recorded_and_what_a_crash_and_a_cancel_do() {
    assert_tidy(rust(shape::constructs));
}

#[test]
fn nothing_unfinished_is_left_in() {
    assert_tidy(Tree::read().all().flat_map(words::unfinished).collect());
}

#[test]
fn the_core_names_no_clock_no_runtime_and_no_hash_order() {
    assert_tidy(rust(words::impure_core));
}

#[test]
fn no_test_sleeps() {
    assert_tidy(rust(words::sleeping_tests));
}

#[test]
fn crates_depend_one_way() {
    let tree = Tree::read();
    let names = tree.rust().flat_map(imports::foreign_crates);
    let manifests = tree.all().flat_map(imports::manifest);
    assert_tidy(names.chain(manifests).collect());
}

#[test]
fn modules_of_a_crate_form_no_cycle() {
    let tree = Tree::read();
    assert_tidy(imports::LIBRARIES.iter().flat_map(|library| imports::cycles(&tree, library)).collect());
}

#[test]
fn the_commands_in_the_documents_exist() {
    let tree = Tree::read();
    assert_tidy(tree.documents().flat_map(|document| readme::commands(&tree, document)).collect());
}

#[test]
fn the_links_in_the_documents_lead_somewhere() {
    let tree = Tree::read();
    assert_tidy(tree.documents().flat_map(|document| readme::links(&tree, document)).collect());
}
