//! The list of compile errors in `docs/compile-errors.md` is that of the recorded cases.
//!
//! `SAGA_ACCEPT=1 cargo test -p saga-tests --test compile_errors` writes it anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

const PAGE: &str = "../docs/compile-errors.md";
const CASES: &str = "ui/fail";
const BEGIN: &str = "<!-- The list below is generated from the cases in tests/ui/fail; see CONTRIBUTING.md. -->\n";
const END: &str = "<!-- The end of the generated list. -->\n";

/// Chapters, and how the names of their cases begin. The first that fits counts; the last takes
/// the rest.
const CHAPTERS: &[(&str, &[&str])] = &[
    (
        "Awaiting",
        &[
            "call_awaited",
            "call_never_awaited",
            "durable_never_awaits",
            "durable_awaits",
            "workflow_awaited",
            "workflow_awaits",
            "workflow_blocks_on",
            "workflow_gives_a_",
            "workflow_never_awaits",
            "workflow_renames_a_foreign",
            "workflow_with_an_async_closure",
            "workflow_with_futures",
            "workflow_with_tokio",
        ],
    ),
    (
        "What a replay would see differently",
        &[
            "durable_iterates",
            "durable_reads",
            "workflow_allows",
            "workflow_binds",
            "workflow_connects",
            "workflow_draws",
            "workflow_ends",
            "workflow_iterates",
            "workflow_joins",
            "workflow_makes",
            "workflow_opens",
            "workflow_prints",
            "workflow_reads",
            "workflow_renames",
            "workflow_runs",
            "workflow_sleeps",
            "workflow_spawns",
            "workflow_waits",
            "workflow_with_a_static",
        ],
    ),
    ("Strict sagas", &["strict_", "retriable_with_a_permanent_error"]),
    ("Undoing", &["compensate_", "undo_"]),
    ("Errors and how they are classed", &["classify_", "error_"]),
    ("Events", &["event_"]),
    (
        "Options",
        &[
            "activity_option",
            "completed_",
            "heartbeat_",
            "circuit_breaker_",
            "crate_",
            "duration_",
            "durable_option",
            "failed_",
            "flag_",
            "later_",
            "marker",
            "name_",
            "option_",
            "pivot_",
            "priority_",
            "queue_",
            "read_only_",
            "retriable_",
            "retry_",
            "workflow_option",
            "workflow_undo_failure",
            "workflow_version",
        ],
    ),
    ("Signatures and the rest", &[""]),
];

/// The errors of one recorded case, each with the notes that the macros or traits add.
fn messages(recorded: &str) -> Vec<String> {
    let mut messages: Vec<String> = Vec::new();
    let mut in_error = false;
    for line in recorded.lines() {
        if let Some(rest) = line.strip_prefix("error") {
            in_error = true;
            messages.extend(rest.split_once(": ").map(|(_, message)| message.to_owned()));
        } else if line.starts_with("warning") {
            in_error = false;
        } else if let (true, Some(note), Some(message)) =
            (in_error, line.trim_start().strip_prefix("= note: "), messages.last_mut())
            && !is_the_compilers(note)
        {
            let _ = write!(message, " ({note})");
        }
    }
    messages
}

fn is_the_compilers(note: &str) -> bool {
    ["this error originates", "required for", "expected ", "the full name", "consider using `--verbose`", "`#["]
        .iter()
        .any(|beginning| note.starts_with(beginning))
}

fn list(cases: &BTreeMap<String, String>) -> String {
    let mut chapters: Vec<String> = vec![String::new(); CHAPTERS.len()];
    for (name, recorded) in cases {
        let at = CHAPTERS
            .iter()
            .position(|(_, beginnings)| beginnings.iter().any(|beginning| name.starts_with(beginning)))
            .expect("the last chapter takes any");
        let chapter = &mut chapters[at];
        let _ = writeln!(chapter, "- `{name}`");
        for message in messages(recorded) {
            let _ = writeln!(chapter, "  - {message}");
        }
    }
    let mut list = String::new();
    for ((title, _), chapter) in CHAPTERS.iter().zip(chapters) {
        let _ = write!(list, "\n### {title}\n\n{chapter}");
    }
    list.push('\n');
    list
}

fn cases() -> BTreeMap<String, String> {
    let mut cases = BTreeMap::new();
    for entry in fs::read_dir(CASES).expect("the cases are there") {
        let path = entry.expect("a case can be listed").path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.file_stem().and_then(|name| name.to_str()).expect("a case has a name").to_owned();
            let recorded = fs::read_to_string(path.with_extension("stderr"));
            cases.insert(name, recorded.expect("each case has its recorded errors"));
        }
    }
    cases
}

fn is_pointed(recorded: &str) -> bool {
    recorded.lines().any(|line| line.contains('^'))
}

/// The case that shows that mistakes do not hide each other.
const OF_TWO: &str = "two_mistakes_are_both_reported";

#[test]
fn each_mistake_is_one_error_at_one_place() {
    let counted = cases().into_iter().filter_map(|(name, recorded)| {
        let wanted = if name == OF_TWO { 2 } else { 1 };
        let found = messages(&recorded).len();
        let is_dull =
            found != wanted || recorded.lines().any(|line| line.starts_with("warning")) || !is_pointed(&recorded);
        is_dull.then(|| format!("{name}: {found} errors"))
    });
    assert_eq!(counted.collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn the_page_of_compile_errors_lists_the_recorded_ones() {
    let page = fs::read_to_string(PAGE).expect("the page is there");
    let (before, rest) = page.split_once(BEGIN).expect("the page says where the list begins");
    let (listed, after) = rest.split_once(END).expect("the page says where the list ends");
    let list = list(&cases());
    if env::var_os("SAGA_ACCEPT").is_some_and(|value| value == "1") {
        fs::write(PAGE, format!("{before}{BEGIN}{list}{END}{after}")).expect("the page can be written");
        return;
    }
    let differing = list.lines().zip(listed.lines()).find(|(wanted, found)| wanted != found);
    assert!(
        list == listed,
        "{PAGE} is not what the cases record: run `SAGA_ACCEPT=1 cargo test -p saga-tests --test compile_errors`. First difference: {differing:?}"
    );
}

#[test]
fn each_allowance_that_the_page_names_is_known() {
    let page = fs::read_to_string(Path::new(PAGE)).expect("the page is there");
    let recorded = &cases()["workflow_allows_nothing"];
    let known = recorded.lines().next().and_then(|line| line.split_once("one or more of ")).expect("it lists them").1;
    for rule in known.split(", ") {
        assert!(page.contains(&format!("\n| {rule} |")), "{rule} has no row in {PAGE}");
    }
}
