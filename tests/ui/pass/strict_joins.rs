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
    try_join!(reserve(item), reserve(item + 1), async { look(item).await.map(drop) }).await?;
    for looked in join_all(vec![look(1), look(2)]).await {
        looked?;
    }
    try_join_all((0..item).map(reserve)).await?;
    for reserved in for_each_concurrent(2, 0..item, |number| async move { reserve(number).await }).await {
        reserved?;
    }
    charge(item).await?;
    let (first, second) = join!(ship(1), ship(2)).await;
    first?;
    second?;
    for shipped in for_each_concurrent(2, 0..item, ship).await {
        shipped?;
    }
    Ok(())
}

pub fn main() {
    assert!(order::PLAN.strict);
}
