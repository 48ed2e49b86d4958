use saga_runtime::prelude::*;
use saga_sqlite::SqliteTx;

#[activity(transaction)]
async fn greet(#[transaction] tx: &mut SqliteTx<'_>) -> saga_runtime::Result<u64> {
    Ok(tx.changes())
}

fn main() {}
