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
    let Ok(true) = look(item).await else { return Ok(()) };
    if item > 7 {
        reserve(item).await?;
        charge(item).await?;
    } else {
        match item {
            0 if look(item).await? => reserve(item).await?,
            1 | 2 => charge(item).await?,
            _ => return Ok(()),
        }
    }
    ship(item).await?;
    Ok(())
}

pub fn main() {
    assert!(order::PLAN.strict);
}
