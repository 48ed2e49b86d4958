//! The texts of lists, which depend on what is asked for.
//!
//! A list walks along one index, which has the runs that one condition allows in the order of
//! lists, and looks at each for the other conditions. Only ids have no such order: so a prefix is
//! walked along where few runs have it, and these are sorted.

use std::fmt::Write as _;

use saga_store::{ExecutionId, Query, RunState, Timestamp};
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use super::client::VIEW;
use super::fill;

/// So many runs are counted for each condition, and sorted at most.
pub(crate) const FEW: usize = 1_000;

/// States that a newer build may have written have codes below this one.
const STATES: i16 = 16;

/// The place of a run in lists: the moment of its start, then its execution.
pub(crate) type Key = (i64, Uuid);

/// What a list walks along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source<'q> {
    /// All runs.
    All,
    /// Those of the query's workflow, or in its states, or both.
    States,
    /// Those with one of the query's attributes, by its place.
    Attribute(usize),
    /// Those whose ids begin so, in no order of use.
    Ids(&'q str),
}

/// What could be walked along for a query; the first is the best guess.
pub(crate) fn sources(query: &Query) -> Vec<Source<'_>> {
    let mut sources: Vec<Source<'_>> = (0..query.attributes.len()).map(Source::Attribute).collect();
    if query.workflow.is_some() || !query.states.is_empty() {
        sources.push(Source::States);
    }
    if sources.is_empty() {
        sources.push(Source::All);
    }
    sources.extend(query.id_prefix.as_deref().filter(|prefix| !prefix.is_empty()).map(Source::Ids));
    sources
}

/// A statement with its values.
#[derive(Debug, Default)]
pub(crate) struct Text {
    pub(crate) sql: String,
    pub(crate) values: Vec<Value>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    Number(i64),
    Uuid(Uuid),
    Codes(Vec<i16>),
}

impl Value {
    pub(crate) fn typed(&self) -> (&(dyn ToSql + Sync), Type) {
        match self {
            Self::Text(text) => (text, Type::TEXT),
            Self::Number(number) => (number, Type::INT8),
            Self::Uuid(uuid) => (uuid, Type::UUID),
            Self::Codes(codes) => (codes, Type::INT2_ARRAY),
        }
    }
}

/// A part of a list: up to `most` runs of the source from `after` on, of which up to `wanted` are
/// given that the whole query allows; with how many were walked along, and the last of them.
pub(crate) fn walk(query: &Query, source: Source<'_>, after: Option<Key>, most: i64, wanted: i64) -> Text {
    let mut text = Text::default();
    text.put("-- list\nWITH walked AS MATERIALIZED (SELECT s.created_at, s.execution FROM (");
    text.source(query, source, after, most);
    text.put(") AS s ");
    text.in_order("s", most);
    text.put(
        "), found AS MATERIALIZED (SELECT w.created_at, w.execution FROM walked w CROSS JOIN LATERAL (\
         SELECT p.id, p.workflow, p.state, p.attributes FROM @.runs p WHERE p.execution = w.execution OFFSET 0) AS r \
         WHERE true",
    );
    text.rest(query, source);
    text.in_order("w", wanted);
    text.put(&format!(
        ") SELECT {VIEW}, (SELECT count(*) FROM walked), last.created_at, last.execution FROM (VALUES (1)) AS one \
         LEFT JOIN (SELECT created_at, execution FROM walked ORDER BY created_at, execution LIMIT 1) AS last ON true \
         LEFT JOIN found f ON true LEFT JOIN @.runs r ON r.execution = f.execution \
         ORDER BY f.created_at DESC, f.execution DESC"
    ));
    text
}

/// Whether a run of the source may still not be one that the query allows.
pub(crate) fn is_filtered(query: &Query, source: Source<'_>) -> bool {
    let mut text = Text::default();
    text.rest(query, source);
    !text.sql.is_empty()
}

/// How many runs each source has, up to one more than a few: one row, with a column for each.
pub(crate) fn probe(query: &Query, sources: &[Source<'_>], after: Option<Key>) -> Text {
    let most = i64::try_from(FEW + 1).unwrap_or(i64::MAX);
    let mut text = Text::default();
    text.put("-- probe\nSELECT ");
    for (place, source) in sources.iter().enumerate() {
        text.put(if place == 0 { "" } else { ", " });
        text.put("(SELECT count(*) FROM (SELECT FROM (");
        text.source(query, *source, after, most);
        text.put(&format!(") AS s LIMIT {most}) AS few)"));
    }
    text
}

impl Text {
    fn put(&mut self, text: &str) {
        self.sql.push_str(text);
    }

    /// The text goes on with a place for this value.
    fn value(&mut self, before: &str, value: Value) {
        let kind = match &value {
            Value::Text(_) => "text",
            Value::Number(_) => "int8",
            Value::Uuid(_) => "uuid",
            Value::Codes(_) => "int2[]",
        };
        self.values.push(value);
        // Writing to a string cannot fail.
        let _ = write!(self.sql, "{before}${}::{kind}", self.values.len());
    }

    fn in_order(&mut self, of: &str, most: i64) {
        let _ = write!(self.sql, " ORDER BY {of}.created_at DESC, {of}.execution DESC LIMIT {most}");
    }

    fn source(&mut self, query: &Query, source: Source<'_>, after: Option<Key>, most: i64) {
        match source {
            Source::All => {
                self.put("SELECT x.created_at, x.execution FROM @.runs x WHERE x.state > -2");
                self.span(query, after);
                self.in_order("x", most);
            }
            Source::States => {
                self.value("SELECT k.created_at, k.execution FROM unnest(", Value::Codes(states(query)));
                self.put(
                    ") AS c (state) CROSS JOIN LATERAL (SELECT x.created_at, x.execution FROM @.runs x \
                     WHERE x.state = c.state",
                );
                if let Some(workflow) = &query.workflow {
                    self.value(" AND x.workflow = ", Value::Text(workflow.clone()));
                } else {
                    self.put(" AND x.state > -1");
                }
                self.span(query, after);
                self.in_order("x", most);
                self.put(") AS k");
            }
            Source::Attribute(place) => {
                let (name, value) = &query.attributes[place];
                self.value(
                    "SELECT x.created_at, x.execution FROM @.attributes x WHERE x.name = ",
                    Value::Text(name.clone()),
                );
                self.value(" AND x.value = ", Value::Text(value.clone()));
                self.span(query, after);
                self.in_order("x", most);
            }
            Source::Ids(prefix) => {
                // By ids alone: with a span of time at hand, or an order, the planner might take
                // another index.
                self.put("SELECT x.created_at, x.execution FROM (SELECT r.created_at, r.execution FROM @.runs r WHERE r.newest");
                self.begins_with(prefix);
                self.put(" UNION ALL SELECT r.created_at, r.execution FROM @.runs r WHERE NOT r.newest");
                self.begins_with(prefix);
                self.put(" OFFSET 0) AS x WHERE true");
                self.span(query, after);
            }
        }
    }

    /// What the order of lists has as a part of itself.
    fn span(&mut self, query: &Query, after: Option<Key>) {
        if let Some(from) = query.started_from {
            self.value(" AND x.created_at >= ", Value::Number(from.as_micros()));
        }
        if let Some(before) = query.started_before {
            self.value(" AND x.created_at < ", Value::Number(before.as_micros()));
        }
        if let Some((at, execution)) = after {
            self.value(" AND (x.created_at, x.execution) < (", Value::Number(at));
            self.value(", ", Value::Uuid(execution));
            self.put(")");
        }
    }

    fn begins_with(&mut self, prefix: &str) {
        self.value(" AND r.id >= ", Value::Text(prefix.to_owned()));
        if let Some(end) = end_of_prefix(prefix) {
            self.value(" AND r.id < ", Value::Text(end));
        }
    }

    /// The conditions that the source has not met.
    fn rest(&mut self, query: &Query, source: Source<'_>) {
        if source != Source::States {
            if let Some(workflow) = &query.workflow {
                self.value(" AND r.workflow = ", Value::Text(workflow.clone()));
            }
            if !query.states.is_empty() {
                self.value(" AND r.state = ANY (", Value::Codes(states(query)));
                self.put(")");
            }
        }
        for (place, (name, value)) in query.attributes.iter().enumerate() {
            if source != Source::Attribute(place) {
                self.value(
                    " AND EXISTS (SELECT FROM generate_series(1, cardinality(r.attributes), 2) AS i WHERE r.attributes[i] = ",
                    Value::Text(name.clone()),
                );
                self.value(" AND r.attributes[i + 1] = ", Value::Text(value.clone()));
                self.put(")");
            }
        }
        if let Some(prefix) = query.id_prefix.as_deref().filter(|prefix| !prefix.is_empty())
            && source != Source::Ids(prefix)
        {
            self.begins_with(prefix);
        }
    }
}

/// The codes of the states that are asked for; none means all.
fn states(query: &Query) -> Vec<i16> {
    if query.states.is_empty() {
        return (0..STATES).collect();
    }
    let mut codes: Vec<i16> = query.states.iter().map(|state| state.code().into()).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

/// The least text that is greater than all that begin so.
fn end_of_prefix(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        // From one to the next in the range is a step over the surrogates where need be.
        if let Some(next) = (last..=char::MAX).nth(1) {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

/// Lists by each source, as texts of the documentation.
pub(crate) fn examples(schema: &str) -> Vec<(&'static str, String)> {
    let at = Timestamp::from_micros(0);
    let all = Query { started_from: Some(at), started_before: Some(at), limit: 100, ..Query::default() };
    let workflow = Query { workflow: Some("order".to_owned()), ..all.clone() };
    let states = Query { states: vec![RunState::Dead, RunState::Undoing], ..all.clone() };
    let attributes = vec![("customer".to_owned(), "4".to_owned())];
    let attribute = Query { attributes, workflow: Some("order".to_owned()), ..all.clone() };
    let ids = Query { id_prefix: Some("ORD-".to_owned()), ..all.clone() };
    let after = Some((0, *ExecutionId::from_bytes([0; 16]).as_uuid()));
    let walk = |query, source| fill(&walk(query, source, after, 101, 101).sql, schema);
    vec![
        ("LIST", walk(&all, Source::All)),
        ("LIST_OF_WORKFLOW", walk(&workflow, Source::States)),
        ("LIST_OF_STATES", walk(&states, Source::States)),
        ("LIST_OF_ATTRIBUTE", walk(&attribute, Source::Attribute(0))),
        ("LIST_OF_IDS", walk(&ids, Source::Ids("ORD-"))),
        ("PROBE", {
            let query = Query { id_prefix: ids.id_prefix.clone(), ..attribute.clone() };
            fill(&probe(&query, &sources(&query), after).sql, schema)
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_the_next_text_of_its_length() {
        assert_eq!(end_of_prefix("ORD-").as_deref(), Some("ORD."));
        assert_eq!(end_of_prefix("a\u{d7ff}").as_deref(), Some("a\u{e000}"));
        assert_eq!(end_of_prefix("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(end_of_prefix("\u{10ffff}"), None);
        assert_eq!(end_of_prefix(""), None);
    }

    #[test]
    fn the_states_of_newer_builds_have_room() {
        let codes: Vec<i16> = RunState::ALL.iter().map(|state| state.code().into()).collect();
        assert!(codes.iter().all(|code| *code + 4 < STATES), "{codes:?}");
    }
}
