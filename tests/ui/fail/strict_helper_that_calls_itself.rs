use saga_runtime::prelude::*;

#[activity(pivot)]
async fn charge(item: u32) -> saga_runtime::Result<()> {
    let _ = item;
    Ok(())
}

#[durable(strict)]
async fn pay(item: u32) -> saga_runtime::Result<()> {
    if item > 1 {
        pay(item - 1).await?;
    }
    charge(item).await?;
    Ok(())
}

fn main() {}
