//! What strict workflows can do, in every construct.

#![deny(warnings)]

use std::time::Duration;

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

#[derive(serde::Serialize, serde::Deserialize, Event)]
struct Approval {
    by: String,
}

#[activity(read_only, retriable)]
async fn look_again(item: u32) -> Result<bool, Slow> {
    Ok(item > 0)
}

mod shop {
    use saga_runtime::prelude::*;

    #[activity(read_only)]
    pub async fn open(item: u32, more: Option<u32>) -> saga_runtime::Result<bool> {
        Ok(item > more.unwrap_or(0))
    }
}

#[durable(strict)]
async fn hold(items: &[u32]) -> saga_runtime::Result<()> {
    for item in items {
        reserve(*item).await?;
    }
    Ok(())
}

#[durable(strict)]
async fn finish(item: u32) -> Result<(), ActivityError<Slow>> {
    pivot_free(&item).await;
    ship(item).timeout(Duration::from_secs(1)).await
}

#[durable(strict)]
async fn pivot_free(item: &u32) {
    sleep(Duration::from_secs(u64::from(*item))).await;
}

#[workflow(strict)]
async fn order(items: Vec<u32>) -> saga_runtime::Result<()> {
    use shop::open;

    if !look(1).await? || !open(1, None).await? && shop::open(2, Some(1)).await? {
        return Ok(());
    }
    hold(&items).await?;
    let by = match event::<Approval>().timeout(Duration::from_secs(60)).await {
        Ok(approval) => approval.by,
        Err(_) => side_effect(|| "nobody".to_owned()).await,
    };
    for looked in join_all(items.iter().map(|item| look(*item))).await {
        looked?;
    }
    let tried = attempt(async {
        reserve(8).await?;
        look(8).await
    })
    .await;
    select! {
        looked = look(9) => { looked?; },
        () = sleep(Duration::from_secs(9)) => {}
    }
    if tried.is_err() {
        // Nothing comes after this pivot on its way.
        charge(2).await?;
        finish(2).await?;
        return Ok(());
    }
    try_join!(reserve(3), async { reserve(4).await }).await?;
    charge(u32::try_from(by.len()).unwrap_or(0)).await?;
    while look_again(1).await? {
        ship(1).await?;
    }
    'posts: loop {
        ship(2).await?;
        if look_again(2).await? {
            break 'posts;
        }
    }
    let (first, second) = join!(ship(3), finish(4)).await;
    first?;
    second?;
    Ok(())
}

pub fn main() {
    assert!(order::PLAN.strict);
}
