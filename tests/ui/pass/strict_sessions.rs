#![deny(warnings)]

use saga_runtime::prelude::*;

#[activity(queue = "gpu", compensate = release(item))]
async fn reserve(item: u32) -> saga_runtime::Result<()> {
    let _ = item;
    Ok(())
}

#[activity]
async fn release(item: u32) -> saga_runtime::Result<()> {
    let _ = item;
    Ok(())
}

#[activity(queue = "gpu", read_only)]
async fn look(item: u32) -> saga_runtime::Result<bool> {
    Ok(item > 0)
}

#[activity(pivot)]
async fn charge(item: u32) -> saga_runtime::Result<()> {
    let _ = item;
    Ok(())
}

#[workflow(strict)]
async fn order(item: u32) -> saga_runtime::Result<()> {
    let gpu = session("gpu");
    reserve(item).session(&gpu).await?;
    if look(item).session(&gpu).await? {
        reserve(item + 1).session(&gpu).await?;
    }
    charge(item).await?;
    Ok(())
}

pub fn main() {
    assert!(order::PLAN.strict);
}
