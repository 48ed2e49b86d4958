//! The statements, as constants; in a store their text names the store's schema.
//!
//! In the texts `@.` stands for the schema and `@now` for the server's time in microseconds. The
//! planner's hazards are met in the session's settings ([`SESSION`]) rather than in each text.

mod client;
mod commit;
pub(crate) mod list;
mod owner;
mod start;

pub(crate) use client::*;
pub(crate) use commit::*;
pub(crate) use owner::*;
pub(crate) use start::*;

/// A statement that is prepared once a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sql {
    /// What the documentation calls it.
    pub(crate) name: &'static str,
    /// Where a store keeps its text.
    pub(crate) slot: usize,
}

/// The texts of all statements for one schema.
#[derive(Debug)]
pub(crate) struct Texts(Vec<String>);

impl Texts {
    pub(crate) fn new(schema: &str) -> Self {
        Self(TEMPLATES.concat().iter().map(|(_, template)| fill(template, schema)).collect())
    }

    pub(crate) fn of(&self, sql: Sql) -> &str {
        &self.0[sql.slot]
    }
}

const TEMPLATES: [&[(&str, &str)]; 4] = [commit::TEMPLATES, start::TEMPLATES, owner::TEMPLATES, client::TEMPLATES];

/// All statements, with their templates.
pub(crate) fn all() -> impl Iterator<Item = Sql> {
    TEMPLATES.concat().into_iter().enumerate().map(|(slot, (name, _))| Sql { name, slot })
}

/// The text of one statement for one schema.
pub(crate) fn text(sql: Sql, schema: &str) -> String {
    let template = TEMPLATES.iter().flat_map(|group| group.iter()).nth(sql.slot);
    template.map(|(_, template)| fill(template, schema)).unwrap_or_default()
}

/// A template for one schema.
pub(crate) fn fill(template: &str, schema: &str) -> String {
    let now = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
    template.replace("@now", now).replace("@.", &format!("{}.", quote(schema)))
}

/// A name as an identifier.
pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What every session is set to.
///
/// Statements join a few rows from arrays with large tables by their keys. While the tables are
/// small, or have no statistics yet, the planner would read them from end to end, and would keep
/// that plan while they grow; a plan by index is right at any size.
pub(crate) const SESSION: &str = "
    SET enable_seqscan = off;
    SET enable_bitmapscan = off;
    SET enable_hashjoin = off;
    SET enable_mergejoin = off;
    SET jit = off;
    SET plan_cache_mode = force_generic_plan;
    SET default_transaction_isolation = 'read committed';
    SET idle_in_transaction_session_timeout = '10s';
    SET lock_timeout = '5s';
    SET client_min_messages = warning;
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
    SELECT set_config('statement_timeout', '30s', false) WHERE current_setting('statement_timeout') = '0'";

/// What the sessions are set to in which users' own code runs: their plans are their own. They take no writes
/// but in a transaction that was begun for them, and texts are read as the filter of what users may send
/// reads them.
pub(crate) const STEP_SESSION: &str = "
    SET client_min_messages = warning;
    SET standard_conforming_strings = on;
    SET default_transaction_read_only = on;
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// Which of the executions `$1` were applied; not named if all were.
macro_rules! of_all {
    ($applied:literal) => {
        concat!(
            "SELECT CASE WHEN count(*) < cardinality($1::uuid[]) THEN array_agg(execution) END, count(*) FROM ",
            $applied
        )
    };
}
use of_all;

/// Whether a run is marked "not this build", and a living worker is of a build that it is not
/// marked with.
macro_rules! left_to_others {
    ($run:literal, $build:literal) => {
        concat!(
            "(CASE WHEN EXISTS (SELECT FROM @.not_build b WHERE b.execution = ",
            $run,
            ".execution AND b.build = ",
            $build,
            ")
                    THEN EXISTS (SELECT FROM @.workers w WHERE NOT w.dead AND NOT EXISTS (
                        SELECT FROM @.not_build b WHERE b.execution = ",
            $run,
            ".execution AND b.build = w.build)) END)"
        )
    };
}
use left_to_others;

/// Makes a constant of each statement, counted from `$first`.
macro_rules! statements {
    ($first:expr; $($(#[$doc:meta])* $name:ident = $text:expr;)+) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        enum Slot { $($name),+ }
        $($(#[$doc])* pub(crate) const $name: super::Sql =
            super::Sql { name: stringify!($name), slot: $first + Slot::$name as usize };)+
        pub(super) const TEMPLATES: &[(&str, &str)] = &[$((stringify!($name), $text)),+];
        #[allow(dead_code, reason = "the last group has none after it")]
        pub(super) const END: usize = $first + TEMPLATES.len();
    };
}
use statements;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_statement_finds_its_own_text() {
        let texts = Texts::new("a\"b");
        assert!(texts.of(LEAN).starts_with("-- lean"), "{}", texts.of(LEAN));
        assert!(texts.of(PURGE).starts_with("-- purge"), "{}", texts.of(PURGE));
        assert!(texts.of(PURGE).contains("\"a\"\"b\".runs"));
        assert_eq!(all().count(), texts.0.len());
    }
}
