use std::time::Instant;

use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let _ = Instant::now();
    Ok(())
}

fn main() {}
