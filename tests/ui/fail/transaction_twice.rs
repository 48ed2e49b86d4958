use saga_runtime::prelude::*;
use saga_sqlite::SqliteTx;

#[activity(transaction)]
fn greet(#[transaction] tx: &SqliteTx<'_>, #[transaction] more: &SqliteTx<'_>) -> saga_runtime::Result<u64> {
    Ok(tx.changes() + more.changes())
}

fn main() {}
