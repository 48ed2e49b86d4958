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

#[durable(strict)]
async fn pays(item: u32) -> saga_runtime::Result<bool> {
    if item > 7 {
        charge(item).await?;
        return Ok(true);
    }
    Ok(false)
}

#[workflow(strict)]
async fn order(item: u32) -> saga_runtime::Result<()> {
    if !pays(item).await? {
        reserve(item).await?;
    }
    Ok(())
}

fn main() {}
