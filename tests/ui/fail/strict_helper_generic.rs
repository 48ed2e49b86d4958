use saga_runtime::prelude::*;

#[activity(pivot)]
async fn charge(item: u32) -> saga_runtime::Result<()> {
    let _ = item;
    Ok(())
}

#[durable(strict)]
async fn pay<T: Send>(item: u32, with: T) -> saga_runtime::Result<()> {
    let _ = with;
    charge(item).await?;
    Ok(())
}

fn main() {}
