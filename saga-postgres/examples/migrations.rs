//! Prints the statements that a schema still needs, for a DBA to read and run.
//!
//! `cargo run -p saga-postgres --example migrations -- [--schema NAME] [--from VERSION | --of URL]`
//!
//! Without `--from` and `--of` these are all, for a schema that is not there yet; with `--of` the
//! database is asked which version it has. Nothing is changed.

use saga_postgres::{PostgresStore, migration_sql_from};

const USAGE: &str = "usage: migrations [--schema NAME] [--from VERSION | --of URL]";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut schema, mut from, mut of) = ("saga".to_owned(), 0, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or(USAGE)?;
        match name.as_str() {
            "--schema" => schema = value,
            "--from" => from = value.parse()?,
            "--of" => of = Some(value),
            _ => return Err(USAGE.into()),
        }
    }
    let script = match of {
        Some(url) => PostgresStore::builder(&url).schema(&schema).pending_migration().await?,
        None => Some(migration_sql_from(&schema, from)),
    };
    match script {
        Some(script) => print!("{script}"),
        None => eprintln!("the schema {schema} is up to date"),
    }
    Ok(())
}
