use saga_runtime::prelude::*;

#[activity(compensate = release(item))]
async fn reserve(item: u32) -> saga_runtime::Result<()> {
    let _ = item;
    Ok(())
}

#[activity]
async fn release(item: u32) -> saga_runtime::Result<()> {
    let _ = item;
    Ok(())
}

#[derive(Debug, thiserror::Error, serde::Serialize, serde::Deserialize, Classify)]
#[error("the post is slow")]
struct Slow;

#[activity(retriable)]
async fn ship(item: u32) -> Result<(), Slow> {
    let _ = item;
    Ok(())
}

#[workflow(strict)]
async fn order(item: u32) -> saga_runtime::Result<()> {
    while ship(item).await.is_ok() {
        reserve(item).await?;
    }
    Ok(())
}

fn main() {}
