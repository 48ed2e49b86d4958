#![deny(warnings)]

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

#[activity(read_only)]
async fn look(item: u32) -> saga_runtime::Result<bool> {
    Ok(item > 0)
}

#[activity(pivot)]
async fn charge(item: u32) -> saga_runtime::Result<()> {
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
    reserve(item).await?;
    if item == 7 {
        charge(item).await?;
        ship(item).await?;
        return Ok(());
    }
    reserve(item + 1).await?;
    let shipped: saga_runtime::Result<()> = async {
        charge(item).await?;
        if item == 8 {
            return Ok(());
        }
        ship(item).await?;
        Ok(())
    }
    .await;
    shipped?;
    Ok(())
}

pub fn main() {
    assert!(order::PLAN.strict);
}
