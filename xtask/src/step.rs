//! One command, run and timed.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::tally::Tally;

/// What cargo sets for this program and what is not meant for the commands that it starts:
/// passed on, it would make build scripts run again.
const OWN_VARIABLES: [&str; 4] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];

/// A command of a chore.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    program: &'static str,
    args: &'static [&'static str],
    /// What whoever called has added.
    more: Vec<String>,
    env: Vec<(&'static str, String)>,
    /// The step without whose success this one makes no sense.
    pub(crate) needs: Option<&'static str>,
    /// A cargo subcommand that may be missing, and what to say then.
    optional: Option<(&'static str, &'static str)>,
    counts_tests: bool,
    quiet: bool,
    /// Whether the program stands beside this one.
    is_built: bool,
}

/// How a step went.
#[derive(Debug, Clone)]
pub(crate) struct Done {
    pub(crate) name: &'static str,
    pub(crate) took: Duration,
    pub(crate) end: End,
    pub(crate) tally: Option<Tally>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    Passed,
    Failed(String),
    NotRun(String),
}

impl Done {
    pub(crate) fn failed(&self) -> bool {
        matches!(self.end, End::Failed(_))
    }
}

impl Step {
    /// A cargo command.
    pub(crate) fn cargo(name: &'static str, args: &'static [&'static str]) -> Self {
        Self {
            name,
            program: "cargo",
            args,
            more: Vec::new(),
            env: Vec::new(),
            needs: None,
            optional: None,
            counts_tests: false,
            quiet: false,
            is_built: false,
        }
    }

    /// A shell script.
    pub(crate) fn script(name: &'static str, args: &'static [&'static str]) -> Self {
        Self { program: "sh", ..Self::cargo(name, args) }
    }

    /// A program that the tests' build has made.
    pub(crate) fn built(name: &'static str, program: &'static str, args: &'static [&'static str]) -> Self {
        Self { program, is_built: true, ..Self::cargo(name, args) }
    }

    /// The same with more arguments.
    pub(crate) fn with(mut self, arguments: &[&str]) -> Self {
        self.more = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        self
    }

    pub(crate) fn env(self, name: &'static str, value: &'static str) -> Self {
        self.set(name, value.to_owned())
    }

    pub(crate) fn set(mut self, name: &'static str, value: String) -> Self {
        self.env.push((name, value));
        self
    }

    pub(crate) fn after(mut self, step: &'static str) -> Self {
        self.needs = Some(step);
        self
    }

    pub(crate) fn only_where_installed(mut self, subcommand: &'static str, otherwise: &'static str) -> Self {
        self.optional = Some((subcommand, otherwise));
        self
    }

    /// Reads the harness's result lines as they pass.
    pub(crate) fn counts_tests(mut self) -> Self {
        self.counts_tests = true;
        self
    }

    /// Drops what the command prints on its standard output.
    pub(crate) fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// The command as one would type it.
    pub(crate) fn command_line(&self) -> String {
        let env = self.env.iter().map(|(name, value)| format!("{name}=\"{value}\""));
        let args = self.args.iter().map(|arg| (*arg).to_owned()).chain(self.more.iter().cloned());
        let words = env.chain([self.program.to_owned()]).chain(args);
        words.collect::<Vec<_>>().join(" ")
    }

    /// Runs it, with its output shown as it comes.
    pub(crate) fn run(&self) -> Done {
        if let Some((subcommand, otherwise)) = self.optional
            && !is_installed(subcommand)
        {
            println!("\n== {}: not run: {otherwise}", self.name);
            return self.done(Duration::ZERO, End::NotRun(otherwise.to_owned()), None);
        }
        println!("\n== {}: {}", self.name, self.command_line());
        let begun = Instant::now();
        let mut tally = self.counts_tests.then(Tally::default);
        let end = match self.execute(tally.as_mut()) {
            Ok(end) => end,
            Err(error) => End::Failed(format!("cannot run {}: {error}", self.program)),
        };
        self.done(begun.elapsed(), end, tally)
    }

    /// Leaves it out because the step that it needs has failed.
    pub(crate) fn block(&self) -> Done {
        let why = format!("\"{}\" failed", self.needs.unwrap_or_default());
        self.done(Duration::ZERO, End::NotRun(why), None)
    }

    fn command(&self) -> Command {
        if self.is_built {
            let own = std::env::current_exe().unwrap_or_default();
            return in_the_root(own.with_file_name(self.program).into());
        }
        if self.program == "cargo" { cargo() } else { in_the_root(self.program.into()) }
    }

    fn done(&self, took: Duration, end: End, tally: Option<Tally>) -> Done {
        Done { name: self.name, took, end, tally }
    }

    fn execute(&self, tally: Option<&mut Tally>) -> std::io::Result<End> {
        let mut command = self.command();
        let env = self.env.iter().map(|(name, value)| (name, value));
        command.args(self.args).args(&self.more).envs(env);
        if tally.is_some() {
            command.stdout(Stdio::piped());
        } else if self.quiet {
            command.stdout(Stdio::null());
        }
        let mut child = command.spawn()?;
        if let (Some(tally), Some(output)) = (tally, child.stdout.take()) {
            for line in BufReader::new(output).split(b'\n') {
                let line = line?;
                let line = String::from_utf8_lossy(&line);
                println!("{line}");
                tally.read(&line);
            }
        }
        let status = child.wait()?;
        Ok(if status.success() { End::Passed } else { End::Failed(status.to_string()) })
    }
}

fn cargo() -> Command {
    in_the_root(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// A command in the repository's root, without what cargo has set for this program.
fn in_the_root(program: OsString) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| OWN_VARIABLES.iter().any(|own| name.starts_with(own))) {
            command.env_remove(name);
        }
    }
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    command
}

fn is_installed(subcommand: &str) -> bool {
    let silent = cargo().args([subcommand, "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    silent.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_succeeds_passes_and_one_that_fails_fails() {
        assert_eq!(Step::cargo("version", &["--version"]).quiet().run().end, End::Passed);
        assert!(Step::cargo("nonsense", &["no-such-subcommand"]).quiet().run().failed());
    }

    #[test]
    fn a_script_runs_in_the_root_of_the_repository() {
        assert_eq!(Step::script("here", &["-c", "test -d xtask"]).run().end, End::Passed);
    }

    #[test]
    fn a_missing_tool_is_reported_and_is_no_failure() {
        let step = Step::cargo("x", &["no-such-tool"]).only_where_installed("no-such-tool", "no such tool here");
        let done = step.run();
        assert_eq!(done.end, End::NotRun("no such tool here".to_owned()));
        assert!(!done.failed());
    }
}
