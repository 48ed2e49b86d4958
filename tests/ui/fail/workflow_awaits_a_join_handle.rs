use saga_runtime::prelude::*;

fn background() -> tokio::task::JoinHandle<u32> {
    tokio::spawn(std::future::ready(7))
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    background().await.unwrap_or_default();
    Ok(())
}

fn main() {}
