//! The rules by name, and what `allow(…)` says of them.

use crate::attr::{Opt, Value};
use crate::diag::Diag;

/// What a workflow's body must not do, since a replay would see something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    HashOrder,
    Clock,
    Random,
    Env,
    Io,
    Threads,
    Print,
    /// Awaiting out of the journal's sight. No allowance: nothing would be recorded.
    Await,
    /// State that outlives the run in the process, but not the process. No allowance.
    Global,
}

/// The rules that `allow(…)` takes.
const ALLOWED: &[(&str, Rule)] = &[
    ("hash_order", Rule::HashOrder),
    ("clock", Rule::Clock),
    ("random", Rule::Random),
    ("env", Rule::Env),
    ("io", Rule::Io),
    ("threads", Rule::Threads),
    ("print", Rule::Print),
];

/// The rules that an attribute lifts.
#[derive(Default)]
pub(crate) struct Allowances(Vec<Rule>);

impl Allowances {
    /// Reads `allow(clock, env)`.
    pub(crate) fn parse(option: &Opt, diag: &mut Diag) -> Self {
        let known: Vec<&str> = ALLOWED.iter().map(|(name, _)| *name).collect();
        let mut allowed = Vec::new();
        let Some(names) = option.list("clock", diag) else { return Self::default() };
        if names.is_empty() && matches!(&option.value, Value::List(tokens) if tokens.is_empty()) {
            let list = known.join("`, `");
            diag.at(&option.name, format!("`allow` spells what it allows, one or more of `{list}`"));
        }
        for name in names {
            match ALLOWED.iter().find(|(known, _)| name.name == known) {
                Some((_, rule)) => {
                    name.flag(diag);
                    allowed.push(*rule);
                }
                None => diag.unknown(&name.name, "`allow(…)`", &known),
            }
        }
        Self(allowed)
    }

    /// Whether this rule is lifted.
    pub(crate) fn has(&self, rule: Rule) -> bool {
        self.0.contains(&rule)
    }
}
