use std::time::Duration;

use saga_runtime::prelude::*;

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let _ = tokio::time::timeout(Duration::ZERO, greet(String::new())).await;
    Ok(())
}

fn main() {}
