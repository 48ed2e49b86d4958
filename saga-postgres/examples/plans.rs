//! Prints the plan of each statement, as the documentation has them.
//!
//! `cargo run -p saga-postgres --example plans -- URL SCHEMA`

use saga_postgres::tokio_postgres::{NoTls, SimpleQueryMessage, connect};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (url, schema) = (arguments.next().ok_or("name a database")?, arguments.next().ok_or("name a schema")?);
    let (client, connection) = connect(&url, NoTls).await?;
    tokio::spawn(connection);
    for (name, text) in saga_postgres::statements(&schema) {
        if name == "SESSION" {
            client.batch_execute(&text).await?;
            continue;
        }
        let places = client.prepare(&text).await?.params().len();
        client.batch_execute(&format!("PREPARE of_{name} AS {text}")).await?;
        let nulls = vec!["NULL"; places].join(", ");
        let values = if places == 0 { String::new() } else { format!("({nulls})") };
        println!("## {name}\n");
        for message in client.simple_query(&format!("EXPLAIN (COSTS OFF) EXECUTE of_{name} {values}")).await? {
            if let SimpleQueryMessage::Row(row) = message {
                println!("{}", row.get(0).unwrap_or_default().replace(&format!("{schema}."), ""));
            }
        }
        println!();
    }
    Ok(())
}
