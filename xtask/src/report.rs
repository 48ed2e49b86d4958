//! What a reader sees at the end.

use std::fmt::Write as _;
use std::time::Duration;

use crate::step::{Done, End};

/// Where the minutes went.
pub(crate) fn table(done: &[Done]) -> String {
    let mut out = String::from("where the minutes went\n");
    for step in done {
        let (took, end) = match &step.end {
            End::Passed => (duration(step.took), "ok".to_owned()),
            End::Failed(why) => (duration(step.took), format!("FAILED ({why})")),
            End::NotRun(why) => ("-".to_owned(), format!("not run: {why}")),
        };
        let _ = writeln!(out, "  {:<15} {took:>10}  {end}", step.name);
    }
    let _ = writeln!(out, "  {:<15} {:>10}", "together", duration(total(done)));
    out
}

/// The verdict, in one line.
pub(crate) fn closing_line(done: &[Done]) -> String {
    let failed: Vec<&str> = done.iter().filter(|step| step.failed()).map(|step| step.name).collect();
    let tests = done.iter().find_map(|step| step.tally).map_or_else(String::new, |tally| {
        let ignored = if tally.ignored == 0 { String::new() } else { format!(", {} ignored", tally.ignored) };
        let failed = if tally.failed == 0 { String::new() } else { format!(", {} FAILED", tally.failed) };
        format!("{} tests passed{failed}{ignored} in {} targets; ", tally.passed, tally.targets)
    });
    let verdict = if failed.is_empty() { "ALL PASSED".to_owned() } else { format!("FAILED: {}", failed.join(", ")) };
    format!("{verdict} ({tests}{})", duration(total(done)))
}

fn total(done: &[Done]) -> Duration {
    done.iter().map(|step| step.took).sum()
}

fn duration(took: Duration) -> String {
    let seconds = took.as_secs();
    if seconds < 60 {
        format!("{:.1} s", took.as_secs_f64())
    } else {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::Tally;

    fn step(name: &'static str, seconds: u64, end: End) -> Done {
        Done { name, took: Duration::from_secs(seconds), end, tally: None }
    }

    #[test]
    fn the_closing_line_names_what_failed_and_counts_the_tests() {
        let mut tests = step("tests", 61, End::Passed);
        tests.tally = Some(Tally { targets: 3, passed: 40, failed: 0, ignored: 0 });
        let all = [step("format", 1, End::Passed), tests.clone()];
        assert_eq!(closing_line(&all), "ALL PASSED (40 tests passed in 3 targets; 1 min 02 s)");

        let bad = [step("lints", 2, End::Failed("exit status: 101".to_owned()))];
        assert_eq!(closing_line(&bad), "FAILED: lints (2.0 s)");
    }

    #[test]
    fn what_was_not_run_is_said_in_the_table() {
        let shown = table(&[step("licences", 0, End::NotRun("cargo-deny is not installed".to_owned()))]);
        assert!(shown.contains("not run: cargo-deny is not installed"), "{shown}");
    }
}
