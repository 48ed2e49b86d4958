//! Looks at the store's bytes, as somebody does who has got hold of them.

use std::path::Path;

use anyhow::Context;
use saga_examples::{PostgresUrl, StoreUrl};
use saga_postgres::PostgresStore;
use tokio_postgres::NoTls;

/// The tables of a store.
const TABLES: &str = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'saga'";

/// Whether the text can be read anywhere in the store.
pub(crate) async fn holds(url: &StoreUrl, text: &str) -> anyhow::Result<bool> {
    match url {
        StoreUrl::Sqlite(path) => files_hold(path, text),
        StoreUrl::Postgres(url) => tables_hold(url, text).await,
    }
}

/// Beside the file itself there are its log and its index, whose names begin with its own.
fn files_hold(file: &Path, text: &str) -> anyhow::Result<bool> {
    let name = file.file_name().unwrap_or_default().as_encoded_bytes();
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(name)
            && std::fs::read(entry.path())?.windows(text.len()).any(|window| window == text.as_bytes())
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A row as text has its bytes as hexadecimal digits.
async fn tables_hold(url: &PostgresUrl, text: &str) -> anyhow::Result<bool> {
    let config = PostgresStore::config(url.with_password())?;
    let (session, connection) = config.connect(NoTls).await.context("no session to look with")?;
    tokio::spawn(connection);
    for table in session.query(TABLES, &[]).await? {
        let table: String = table.get(0);
        let found = format!(
            "SELECT EXISTS (SELECT FROM {table} AS t WHERE position($1 IN t::text) > 0
             OR position(encode(convert_to($1, 'UTF8'), 'hex') IN t::text) > 0)"
        );
        if session.query_one(&found, &[&text]).await?.get(0) {
            return Ok(true);
        }
    }
    Ok(false)
}
