use std::time::Duration;

use saga_runtime::prelude::*;

#[activity]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    std::thread::sleep(Duration::ZERO);
    tokio::time::sleep(Duration::ZERO).await;
    let _ = tokio::time::timeout(Duration::ZERO, greet(String::new())).await;
    let _ = tokio::time::timeout(Duration::ZERO, async { greet(String::new()).await }).await;
    Ok(())
}

fn main() {}
