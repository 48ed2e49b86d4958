//! How much of large tables lists read, and that they give what they should.

use saga_store::{ExecutionId, Query, RunState, Store as _, Timestamp};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use super::list::{self, FEW, Source, Text, Value};
use crate::PostgresStore;
use crate::sql::{SESSION, fill};

/// So many runs, each of its own moment. Every second is an order of the region "eu"; the three
/// oldest of the others are of that region too, twelve old ones are dead, and twenty ids are rare.
const RUNS: i64 = 40_000;

const FILL: &str = "
    INSERT INTO @.runs (execution, id, newest, workflow, version, lane, priority, state, created_at, updated_at,
        input_digest, attributes)
    SELECT gen_random_uuid(), CASE WHEN n % 3000 = 7 THEN 'RARE-' ELSE 'ORD-' END || n, true,
        CASE n % 2 WHEN 0 THEN 'order' ELSE 'refund' END, 1, '', 0,
        CASE WHEN n % 50 = 3 AND n < 600 THEN $dead ELSE $completed END, n, n, 0,
        ARRAY['customer', (n % 500)::text, 'region', CASE WHEN n % 2 = 0 OR n < 6 THEN 'eu' ELSE 'us' END]
    FROM generate_series(1, $runs) AS n;
    INSERT INTO @.attributes (name, value, created_at, execution)
    SELECT r.attributes[i], r.attributes[i + 1], r.created_at, r.execution
    FROM @.runs r, generate_series(1, 3, 2) AS i;
    ANALYZE @.runs; ANALYZE @.attributes;";

async fn filled() -> (PostgresStore, String, Client) {
    let schema = saga_test_server::fresh_name();
    let url = saga_test_server::shared().url();
    let store = PostgresStore::builder(&url).schema(&schema).connect().await.unwrap();
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let code = |state: RunState| state.code().to_string();
    let filling = FILL.replace("$dead", &code(RunState::Dead)).replace("$completed", &code(RunState::Completed));
    client.batch_execute(&fill(&filling.replace("$runs", &RUNS.to_string()), &schema)).await.unwrap();
    client.batch_execute(SESSION).await.unwrap();
    (store, schema, client)
}

fn all() -> Query {
    Query { limit: 20, ..Query::default() }
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// Queries, with the same in words of the server.
fn cases() -> Vec<(Query, &'static str)> {
    let at = |at| Some(Timestamp::from_micros(at));
    let eu = || vec![pair("region", "eu")];
    let (dead, undoing, completed) = (RunState::Dead, RunState::Undoing, RunState::Completed);
    vec![
        (all(), "true"),
        (Query { workflow: Some("order".into()), ..all() }, "workflow = 'order'"),
        (Query { workflow: Some("nothing".into()), ..all() }, "false"),
        (Query { states: vec![dead], ..all() }, "state = $dead"),
        (Query { states: vec![dead, undoing, completed], ..all() }, "true"),
        (Query { workflow: Some("refund".into()), states: vec![dead], ..all() }, "state = $dead"),
        (Query { started_before: at(500), ..all() }, "created_at < 500"),
        (Query { started_from: at(500), started_before: at(30_000), ..all() }, "created_at BETWEEN 500 AND 29999"),
        (
            Query { started_before: at(400), workflow: Some("order".into()), ..all() },
            "created_at < 400 AND workflow = 'order'",
        ),
        (Query { id_prefix: Some("RARE-".into()), ..all() }, "id LIKE 'RARE-%'"),
        (
            Query { id_prefix: Some("RARE-".into()), started_before: at(9_000), ..all() },
            "id LIKE 'RARE-%' AND created_at < 9000",
        ),
        (Query { id_prefix: Some("ORD-".into()), ..all() }, "id LIKE 'ORD-%'"),
        (Query { id_prefix: Some("ORD-".into()), states: vec![dead], ..all() }, "state = $dead AND id LIKE 'ORD-%'"),
        (Query { attributes: vec![pair("customer", "44")], ..all() }, "'44' = attributes[2]"),
        (Query { attributes: eu(), ..all() }, "'eu' = attributes[4]"),
        (Query { attributes: vec![pair("region", "44")], ..all() }, "false"),
        (
            Query { attributes: vec![pair("region", "eu"), pair("customer", "44")], ..all() },
            "attributes[2] = '44' AND attributes[4] = 'eu'",
        ),
        (Query { attributes: eu(), states: vec![dead], ..all() }, "attributes[4] = 'eu' AND state = $dead"),
        (
            Query { attributes: eu(), id_prefix: Some("RARE-".into()), ..all() },
            "attributes[4] = 'eu' AND id LIKE 'RARE-%'",
        ),
    ]
}

/// Two conditions that allow half of all runs each, and together the three oldest.
fn sparse() -> (Query, &'static str) {
    let query = Query { attributes: vec![pair("region", "eu")], workflow: Some("refund".into()), ..all() };
    (query, "attributes[4] = 'eu' AND workflow = 'refund'")
}

/// The plan of a statement as it ran, and the most rows that a part of it looked at.
async fn rows_read(client: &Client, schema: &str, text: &Text) -> (usize, String) {
    let literal = |value: &Value| match value {
        Value::Text(text) => format!("'{}'", text.replace('\'', "''")),
        Value::Number(number) => number.to_string(),
        Value::Uuid(uuid) => format!("'{uuid}'"),
        Value::Codes(codes) => format!("ARRAY{codes:?}::int2[]"),
    };
    let values: Vec<String> = text.values.iter().map(literal).collect();
    let values = if values.is_empty() { String::new() } else { format!("({})", values.join(", ")) };
    let sql = fill(&text.sql, schema);
    client.batch_execute(&format!("DEALLOCATE ALL; PREPARE one AS {sql}")).await.unwrap();
    let explain = format!("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) EXECUTE one {values}");
    let mut lines: Vec<String> = Vec::new();
    for message in client.simple_query(&explain).await.unwrap() {
        if let SimpleQueryMessage::Row(row) = message {
            lines.push(row.get(0).unwrap_or_default().to_owned());
        }
    }
    let number_after = |line: &str, what: &str| -> Option<f64> {
        let rest = line.split_once(what)?.1;
        rest.split(|char: char| !char.is_ascii_digit() && char != '.').next()?.parse().ok()
    };
    let (mut most, mut loops) = (0.0_f64, 1.0);
    for line in &lines {
        if let Some(rows) = number_after(line, "(actual rows=") {
            loops = number_after(line, "loops=").unwrap_or(1.0);
            most = most.max(rows * loops);
        } else if let Some(rows) = number_after(line, "Rows Removed by Filter: ") {
            most = most.max(rows * loops);
        }
    }
    let most = format!("{most:.0}").parse().unwrap();
    (most, lines.join("\n"))
}

#[tokio::test]
async fn a_page_reads_few_rows_of_large_tables_whatever_is_asked_for() {
    let (store, schema, client) = filled().await;
    for (query, _) in cases() {
        let source = super::choose(store.database(), &query, None).await.unwrap();
        let sources = list::sources(&query);
        let mut texts = vec![list::walk(&query, source, None, 84, 21)];
        if matches!(source, Source::Ids(_)) {
            texts = vec![list::walk(&query, source, None, i64::MAX, 21)];
        }
        if sources.len() > 1 {
            texts.push(list::probe(&query, &sources, None));
        }
        // And in the middle of it all.
        let after = (RUNS / 2, *ExecutionId::from_bytes([7; 16]).as_uuid());
        texts.push(list::walk(&query, source, Some(after), 84, 21));
        for text in texts {
            let (read, plan) = rows_read(&client, &schema, &text).await;
            assert!(read <= 16 * 84, "{read} rows for {query:?} by {source:?}:\n{plan}");
            for hazard in ["Seq Scan", "Bitmap", "Hash Join", "Merge Join"] {
                assert!(!plan.contains(hazard), "{query:?}:\n{plan}");
            }
        }
    }
    const { assert!(FEW < 16 * 84) };
}

#[tokio::test]
async fn pages_of_large_tables_together_give_what_the_server_finds() {
    let (store, schema, client) = filled().await;
    for (query, condition) in cases().into_iter().chain([sparse()]) {
        let condition = condition.replace("$dead", &RunState::Dead.code().to_string());
        let sql = format!("SELECT execution FROM @.runs WHERE {condition} ORDER BY created_at DESC, execution DESC");
        let rows = client.query(&fill(&sql, &schema), &[]).await.unwrap();
        let expected: Vec<ExecutionId> = rows.iter().map(|row| ExecutionId::from_uuid(row.get(0))).collect();
        let (mut query, mut found) = (Query { limit: 7_001, ..query }, Vec::new());
        loop {
            let page = store.list(&query).await.unwrap();
            assert!(page.runs.len() <= query.limit);
            found.extend(page.runs.iter().map(|run| run.execution));
            query.after = page.next;
            if page.next.is_none() {
                break;
            }
        }
        assert!(found == expected, "{} runs instead of {} for {query:?}", found.len(), expected.len());
        query = Query { limit: 3, after: None, ..query };
        let first = store.list(&query).await.unwrap();
        assert!(expected.starts_with(&first.runs.iter().map(|run| run.execution).collect::<Vec<_>>()));
    }
}
