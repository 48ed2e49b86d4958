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

#[workflow(strict)]
async fn order(item: u32) -> saga_runtime::Result<()> {
    pivot().await;
    reserve(item).await?;
    Ok(())
}

fn main() {}
