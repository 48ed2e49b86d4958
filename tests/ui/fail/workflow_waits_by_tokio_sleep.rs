use std::time::Duration;

use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    tokio::time::sleep(Duration::ZERO).await;
    Ok(())
}

fn main() {}
