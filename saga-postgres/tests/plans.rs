//! No statement reads a table from end to end, even before the tables have statistics.

mod common;

use common::{fresh_name, session};
use saga_postgres::statements;

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
