//! No statement reads a table from end to end, even before the tables have statistics; and the
//! documentation shows the plans that there are.

mod common;

use std::collections::BTreeMap;

use common::{fresh_name, session};
use saga_postgres::statements;

/// The plans as the documentation has them.
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/postgres-plans.md");

const HEAD: &str = "\
# Plans of the PostgreSQL store's statements

Of every statement that the store sends, on PostgreSQL 15, with empty tables that have no statistics: any size and any
values get the same. What each is for, and how many round trips and rows a call costs, is in
[postgres.md](postgres.md#what-a-call-costs); `cargo run -p saga-postgres --example plans -- URL SCHEMA` prints those of a
database.

This page is generated: `SAGA_ACCEPT=1 cargo test -p saga-postgres --test plans`.
";

async fn plan(client: &tokio_postgres::Client, name: &str, text: &str) -> String {
    let places = client.prepare(text).await.unwrap().params().len();
    client.batch_execute(&format!("PREPARE of_{name} AS {text}")).await.unwrap();
    let nulls = vec!["NULL"; places].join(", ");
    let values = if places == 0 { String::new() } else { format!("({nulls})") };
    let rows = client.simple_query(&format!("EXPLAIN (COSTS OFF) EXECUTE of_{name} {values}")).await.unwrap();
    let line = |message: &tokio_postgres::SimpleQueryMessage| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(ToOwned::to_owned),
        _ => None,
    };
    rows.iter().filter_map(line).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn no_statement_reads_a_table_from_end_to_end() {
    let schema = fresh_name();
    drop(common::open(&schema).await);
    let client = session().await;
    for (name, text) in statements(&schema) {
        if name == "SESSION" {
            client.batch_execute(&text).await.unwrap();
            continue;
        }
        let plan = plan(&client, name, &text).await;
        // Each beat reads all workers, of which there are few.
        let plan = plan.replace("Seq Scan on workers", "all workers");
        for hazard in ["Seq Scan", "Hash Join", "Merge Join", "Hash Semi", "Hash Anti", "Bitmap"] {
            assert!(!plan.contains(hazard), "{name}:\n{plan}");
        }
        let in_order =
            [("LIST", "runs_created"), ("LIST_OF_STATES", "runs_state"), ("LIST_OF_WORKFLOW", "runs_workflow")];
        for (list, index) in in_order {
            let wanted = name == list || (name, index) == ("PROBE", "runs_workflow");
            assert_eq!(plan.contains(&format!("Scan Backward using {index} ")), wanted, "{name}:\n{plan}");
            assert_eq!(plan.contains(index), wanted, "{name}:\n{plan}");
        }
        // A step from key to key reads the index alone.
        let lines: Vec<_> = plan.lines().collect();
        for pair in lines.windows(2).filter(|pair| pair[0].contains("-> ") && pair[0].contains(" Index Scan using")) {
            assert!(pair[1].contains("Index Cond"), "{name}: {}\n{plan}", pair[0]);
        }
    }
}

/// All plans, by their statements' names.
async fn plans() -> Vec<(&'static str, String)> {
    let schema = fresh_name();
    drop(common::open(&schema).await);
    let client = session().await;
    let mut plans = Vec::new();
    for (name, text) in statements(&schema) {
        if name == "SESSION" {
            client.batch_execute(&text).await.unwrap();
        } else {
            plans.push((name, plan(&client, name, &text).await));
        }
    }
    plans
}

/// What a plan reads and writes, and by which index, in any order: what every version of the
/// server has in common.
fn shape(plan: &str) -> Vec<String> {
    let part = |line: &str| {
        let line = line.trim_start_matches([' ', '-', '>']);
        let reads = ["Index Scan", "Index Only Scan", "Seq Scan", "Bitmap"].iter().any(|scan| line.starts_with(scan));
        let writes = ["Insert on", "Update on", "Delete on"].iter().any(|write| line.starts_with(write));
        let (what, on) = line.split_once(" on ").filter(|_| reads || writes)?;
        // Without the alias, which the server numbers.
        Some(format!("{what} on {}", on.split(' ').next().unwrap_or_default()))
    };
    let mut parts: Vec<String> = plan.lines().filter_map(part).collect();
    parts.sort();
    parts
}

fn sections(document: &str) -> BTreeMap<&str, &str> {
    let sections = document.split("\n## ").skip(1);
    sections.filter_map(|section| section.split_once('\n')).collect()
}

#[tokio::test]
async fn the_documentation_has_the_plan_of_each_statement() {
    let plans = plans().await;
    if std::env::var_os("SAGA_ACCEPT").is_some() {
        let section = |(name, plan): &(&str, String)| format!("\n## {name}\n\n```text\n{plan}\n```\n");
        let sections: String = plans.iter().map(section).collect();
        std::fs::write(DOCUMENT, format!("{HEAD}{sections}")).unwrap();
    }
    let document = std::fs::read_to_string(DOCUMENT).unwrap();
    let written = sections(&document);
    let accept = "if that is meant, SAGA_ACCEPT=1 cargo test -p saga-postgres --test plans writes it down";
    for (name, plan) in &plans {
        let shown = written.get(name).map(|section| shape(section));
        assert_eq!(
            shown,
            Some(shape(plan)),
            "{name} has another plan than docs/postgres-plans.md shows; {accept}\n{plan}"
        );
    }
    assert_eq!(
        written.len(),
        plans.len(),
        "docs/postgres-plans.md has a plan of a statement that is no more; {accept}"
    );
}
