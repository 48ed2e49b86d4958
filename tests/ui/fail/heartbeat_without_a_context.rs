use saga_runtime::prelude::*;

#[activity(timeout = "2h", heartbeat = "1m")]
async fn copy_rows(rows: u64) -> saga_runtime::Result<u64> {
    Ok(rows)
}

fn main() {}
