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

#[activity(pivot)]
async fn charge(item: u32) -> saga_runtime::Result<()> {
    let _ = item;
    Ok(())
}

#[workflow(strict)]
async fn order(item: u32) -> saga_runtime::Result<()> {
    if charge(item).await.is_ok() && reserve(item).await.is_ok() {
        sleep(std::time::Duration::from_secs(1)).await;
    }
    Ok(())
}

fn main() {}
