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

#[durable(strict)]
async fn holds(item: u32) -> saga_runtime::Result<()> {
    reserve(item).await?;
    reserve(item + 1).await?;
    Ok(())
}

#[durable(strict)]
async fn pays(item: u32) -> saga_runtime::Result<bool> {
    if !look(item).await? {
        return Ok(false);
    }
    charge(item).await?;
    Ok(true)
}

#[durable(strict)]
async fn ships(item: u32) -> Result<(), ActivityError<Slow>> {
    ship(item).await
}

#[workflow(strict)]
async fn order(item: u32) -> saga_runtime::Result<()> {
    holds(item).await?;
    if pays(item).await? {
        ships(item).await?;
    }
    Ok(())
}

pub fn main() {
    assert!(order::PLAN.strict);
}
