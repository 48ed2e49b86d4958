use saga_runtime::prelude::*;
use saga_sqlite::SqliteTx;

#[activity(read_only, transaction)]
fn count(#[transaction] tx: &SqliteTx<'_>) -> saga_runtime::Result<u64> {
    Ok(tx.changes())
}

fn main() {}
