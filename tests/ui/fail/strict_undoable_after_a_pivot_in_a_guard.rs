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
    match item {
        0 if charge(item).await.is_ok() => {}
        _ => reserve(item).await?,
    }
    Ok(())
}

fn main() {}
