use saga_runtime::prelude::*;
use saga_sqlite::SqliteTx;

#[activity(transaction, heartbeat = "10s")]
fn count(#[transaction] _tx: &SqliteTx<'_>) -> saga_runtime::Result<u32> {
    Ok(1)
}

fn main() {}
