//! Which commands make up a chore.

use crate::step::Step;

const BUILD_TESTS: &str = "build tests";

/// All tests. Besides the Rust toolchain they need `PostgreSQL`'s server programs, which the first
/// step installs where it may: each test binary starts a private server, unless
/// `SAGA_TEST_POSTGRES_URL` names one. Other stores under test are in memory or in files of their
/// own, and tests that kill a program build it themselves.
pub(crate) fn test() -> Vec<Step> {
    vec![
        Step::script("PostgreSQL", &["xtask/postgresql.sh"]),
        Step::cargo(BUILD_TESTS, &["test", "--workspace", "--no-run"]),
        Step::cargo("tests", &["test", "--workspace", "--no-fail-fast"]).counts_tests().after(BUILD_TESTS),
    ]
}

/// The order pipeline under random faults, for as long as the arguments say.
pub(crate) fn chaos(arguments: &[&str]) -> Vec<Step> {
    let chaos = &["run", "--release", "-p", "saga-tests", "--bin", "chaos", "--"];
    vec![Step::script("PostgreSQL", &["xtask/postgresql.sh"]), Step::cargo("chaos", chaos).with(arguments)]
}

/// Orders by several workers on one server.
pub(crate) fn fleet(arguments: &[&str]) -> Vec<Step> {
    let fleet = &["run", "--release", "-p", "saga-tests", "--bin", "fleet", "--"];
    vec![Step::script("PostgreSQL", &["xtask/postgresql.sh"]), Step::cargo("fleet", fleet).with(arguments)]
}

/// Runs without end, and what they leave in the tables.
pub(crate) fn soak(arguments: &[&str]) -> Vec<Step> {
    let soak = &["run", "--release", "-p", "saga-tests", "--bin", "soak", "--"];
    vec![Step::script("PostgreSQL", &["xtask/postgresql.sh"]), Step::cargo("soak", soak).with(arguments)]
}

/// What a change must pass: what [`test()`] does, and the proofs that can go on for as long as one
/// likes, for a short time each.
pub(crate) fn ci() -> Vec<Step> {
    let mut steps = vec![
        Step::cargo("lock file", &["metadata", "--locked", "--format-version=1"]).quiet(),
        Step::cargo("format", &["fmt", "--all", "--", "--check"]),
        Step::cargo(
            "lints",
            &["clippy", "--workspace", "--all-targets", "--all-features", "--keep-going", "--", "-D", "warnings"],
        ),
        Step::cargo("docs", &["doc", "--workspace", "--no-deps", "--all-features", "--keep-going"])
            .env("RUSTDOCFLAGS", "-D warnings"),
        Step::cargo("licences", &["deny", "check", "bans", "licenses", "sources"]).only_where_installed(
            "deny",
            "cargo-deny is not installed; `cargo install cargo-deny --locked` adds this check",
        ),
    ];
    steps.extend(test());
    steps.push(fuzz(CI_FUZZ, 1).after(BUILD_TESTS));
    // With the tests' build, and rounds short enough to end when their two minutes do.
    let chaos = |name, store| Step::built(name, "chaos", CI_CHAOS).with(&["--store", store]).after(BUILD_TESTS);
    steps.extend([chaos("chaos: sqlite", "sqlite"), chaos("chaos: postgres", "postgres")]);
    steps
}

/// How long CI does what is worth doing for hours.
const CI_CHAOS: &[&str] = &["--minutes", "2", "--orders", "2000"];

/// Which lines no test runs.
pub(crate) fn coverage() -> Vec<Step> {
    let coverage =
        &["llvm-cov", "--workspace", "--summary-only", "--ignore-filename-regex", "(tests|bench|examples|xtask)/"];
    vec![
        Step::script("PostgreSQL", &["xtask/postgresql.sh"]),
        Step::cargo("coverage", coverage).only_where_installed(
            "llvm-cov",
            "cargo-llvm-cov is not installed; `cargo install cargo-llvm-cov --locked` and \
             `rustup component add llvm-tools` add this report",
        ),
    ]
}

/// The no-op workload on other crates, which have a workspace of their own.
pub(crate) fn rivals() -> Vec<Step> {
    const BUILD: &str = "build rivals";
    const MANIFEST: &str = "--manifest-path=bench/rivals/Cargo.toml";
    const OURS: &[&str] =
        &["run", "--profile", "shipped", "-p", "saga-bench", "--", "rivals", "target/rivals/release/saga-rivals"];
    vec![
        Step::cargo(BUILD, &["build", "--release", "--locked", MANIFEST, "--target-dir=target/rivals"]),
        Step::cargo("rivals", OURS).after(BUILD),
    ]
}

/// All orders of a file, on each store.
pub(crate) fn orders(arguments: &[&str]) -> Vec<Step> {
    const BUILD: &str = "build order-saga";
    let orders = &["run", "--release", "-p", "saga-bench", "--", "orders"];
    vec![
        Step::cargo(BUILD, &["build", "--release", "--bin", "order-saga"]),
        Step::cargo("orders", orders).with(arguments).after(BUILD),
    ]
}

/// The ratios that a release must keep.
pub(crate) fn bench_gate() -> Vec<Step> {
    vec![Step::cargo("gate", &["run", "--profile", "shipped", "-p", "saga-bench", "--", "gate"])]
}

/// How long each target of the fuzzers is fed in CI, in seconds.
const CI_FUZZ: u64 = 30;

/// Each fuzz target takes its corpus, and what comes of mangling it. On the stable toolchain and with
/// the build of the tests: overflows are found, and nothing is built for it alone.
pub(crate) fn fuzz(seconds: u64, seed: u64) -> Step {
    Step::cargo("fuzz", &["test", "--workspace", "--test", "fuzz", "--", "--nocapture"])
        .set("SAGA_FUZZ_SECONDS", seconds.to_string())
        .set("SAGA_FUZZ_SEED", seed.to_string())
}

/// The options of a chore that are names with numbers; those that are not given keep theirs.
pub(crate) fn numbers<const N: usize>(options: &[&str], mut known: [(&str, u64); N]) -> Result<[u64; N], String> {
    for pair in options.chunks(2) {
        let (name, value) = match pair {
            [name, value] => (*name, value),
            other => return Err(format!("`{}` needs a number", other.concat())),
        };
        let number = value.parse().map_err(|_| format!("`{value}` is not a number"))?;
        match known.iter_mut().find(|(option, _)| *option == name) {
            Some((_, value)) => *value = number,
            None => return Err(format!("there is no option `{name}`")),
        }
    }
    Ok(known.map(|(_, value)| value))
}

const SIMULATION: &[&str] = &[
    "test",
    "--release",
    "-p",
    "saga-tests",
    "--test",
    "simulation",
    "no_rule_is_broken_whatever_goes_wrong",
    "--",
    "--nocapture",
];

/// The engine in simulation, for longer than a test run.
pub(crate) fn simulation(options: &[&str]) -> Result<Vec<Step>, String> {
    let [seeds, first] = numbers(options, [("--seeds", 20_000), ("--first", 0)])?;
    let simulation = Step::cargo("simulation", SIMULATION);
    Ok(vec![simulation.set("SAGA_SIM_SEEDS", seeds.to_string()).set("SAGA_SIM_FIRST", first.to_string())])
}

/// The fuzz targets, for as long as the options say.
pub(crate) fn fuzzing(options: &[&str]) -> Result<Vec<Step>, String> {
    let [seconds, seed] = numbers(options, [("--seconds", CI_FUZZ), ("--seed", 1)])?;
    Ok(vec![fuzz(seconds, seed)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_simulation_takes_its_numbers_and_nothing_else() {
        let line = |options: &[&str]| simulation(options).map(|steps| steps[0].command_line());
        assert!(line(&["--seeds", "7"]).unwrap().contains("SAGA_SIM_SEEDS=\"7\""));
        assert!(line(&["--seeds"]).is_err() && line(&["--seeds", "x"]).is_err() && line(&["--speed", "1"]).is_err());
    }

    #[test]
    fn the_fuzz_targets_are_fed_for_as_long_as_is_asked() {
        let line = |options: &[&str]| fuzzing(options).map(|steps| steps[0].command_line());
        assert!(line(&["--seconds", "300"]).unwrap().contains("SAGA_FUZZ_SECONDS=\"300\" SAGA_FUZZ_SEED=\"1\""));
        assert!(line(&["--minutes", "3"]).is_err());
    }

    fn lines(steps: &[Step]) -> Vec<String> {
        steps.iter().map(Step::command_line).collect()
    }

    #[test]
    fn ci_does_the_very_commands_of_test_and_then_the_proofs() {
        let (ci, test) = (lines(&ci()), lines(&test()));
        assert!(ci.windows(test.len()).any(|part| part == test), "{ci:?}");
        assert_eq!(test.last().unwrap(), "cargo test --workspace --no-fail-fast");
        let proofs = &ci[ci.len() - 3..];
        assert!(proofs[0].starts_with("SAGA_FUZZ_SECONDS=\"30\""), "{proofs:?}");
        assert_eq!(proofs[1], "chaos --minutes 2 --orders 2000 --store sqlite");
        assert_eq!(proofs[2], "chaos --minutes 2 --orders 2000 --store postgres");
    }

    #[test]
    fn what_is_asked_of_chaos_is_passed_on() {
        let asked = lines(&chaos(&["--minutes", "60"]));
        assert_eq!(asked.last().unwrap(), "cargo run --release -p saga-tests --bin chaos -- --minutes 60");
    }
}
