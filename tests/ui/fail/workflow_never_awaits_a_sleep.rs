use std::time::Duration;

use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    sleep(Duration::from_secs(60));
    Ok(())
}

fn main() {}
