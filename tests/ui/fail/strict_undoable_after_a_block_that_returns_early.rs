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
    let paid: saga_runtime::Result<bool> = async {
        if item > 7 {
            charge(item).await?;
            return Ok(true);
        }
        Ok(false)
    }
    .await;
    if !paid? {
        reserve(item).await?;
    }
    Ok(())
}

fn main() {}
