use std::time::Duration;

use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    std::thread::sleep(Duration::ZERO);
    Ok(())
}

fn main() {}
