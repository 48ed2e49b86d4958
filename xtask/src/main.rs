//! The chores of this repository: the one door for testing it and for what a change must pass.
//!
//! - `build_time`: how long a user's crate takes to build.
//! - `plan`: which commands make up a chore.
//! - `step`: one command, run and timed.
//! - `tally`: what the test harness says, added up.
//! - `report`: what a reader sees at the end.

mod build_time;
mod plan;
mod report;
mod step;
mod tally;

use std::process::ExitCode;

use step::Done;

const USAGE: &str = "\
usage: cargo xtask <chore>

  test  run all tests and doctests (for some of them, use `cargo test`)
  ci    what a change must pass: format, lints, docs, licences, the tests, then fuzzing and chaos for a short time
  coverage
        which lines the tests run, where cargo-llvm-cov is installed
  sim   play the engine in simulation; `--seeds N` says how many seeds (default: 20,000), `--first N` from which on

  fuzz  feed each fuzz target its corpus and what comes of it; `--seconds N` says for how long each (default: 30),
        `--seed N` from which seed

  rivals      the no-op workload on other durable execution crates, in one table with ours
  bench-gate  the ratios that a release must keep, measured side by side
  orders [--orders FILE]
              the order pipeline over all orders of a file, on each store, with its audit
  build-time  how long a user's crate takes to build, from clean and after a change
  chaos [--minutes N] [--store sqlite|postgres] [--seed N] [--orders N]
              orders under kills, stops, restarts, outages and cut sessions, then an audit
  fleet [--orders FILE] [--workers N] [--kill-each SECONDS] [--away SECONDS] [--seed N]
              the orders of a file by several workers on PostgreSQL, with each one's share and an audit
  soak [--runs N] [--rounds N]
              runs and purges in rounds, with the sizes of the tables after each

  help  this text
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["test"] => run(&plan::test()),
        ["ci"] => run(&plan::ci()),
        ["coverage"] => run(&plan::coverage()),
        ["rivals"] => run(&plan::rivals()),
        ["bench-gate"] => run(&plan::bench_gate()),
        ["orders", arguments @ ..] => run(&plan::orders(arguments)),
        ["build-time"] => build_time::run(),
        ["chaos", arguments @ ..] => run(&plan::chaos(arguments)),
        ["fleet", arguments @ ..] => run(&plan::fleet(arguments)),
        ["soak", arguments @ ..] => run(&plan::soak(arguments)),
        ["sim", options @ ..] => run_if_understood(plan::simulation(options)),
        ["fuzz", options @ ..] => run_if_understood(plan::fuzzing(options)),
        ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        [] => {
            eprint!("{USAGE}");
            ExitCode::from(2)
        }
        other => {
            eprintln!("error: there is no chore `{}`\n\n{USAGE}", other.join(" "));
            ExitCode::from(2)
        }
    }
}

fn run_if_understood(steps: Result<Vec<step::Step>, String>) -> ExitCode {
    match steps {
        Ok(steps) => run(&steps),
        Err(why) => {
            eprintln!("error: {why}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// Runs every step, also after one has failed, so that one run shows all that is wrong.
fn run(steps: &[step::Step]) -> ExitCode {
    let mut done: Vec<Done> = Vec::with_capacity(steps.len());
    for step in steps {
        let blocked = step.needs.is_some_and(|needed| done.iter().any(|d| d.name == needed && d.failed()));
        done.push(if blocked { step.block() } else { step.run() });
    }
    println!("\n{}", report::table(&done));
    println!("{}", report::closing_line(&done));
    if done.iter().any(Done::failed) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
