use saga_runtime::prelude::*;

#[activity(pivot)]
async fn charge(item: u32) -> saga_runtime::Result<()> {
    let _ = item;
    Ok(())
}

#[durable]
async fn pay(item: u32) -> saga_runtime::Result<()> {
    charge(item).await?;
    Ok(())
}

#[workflow(strict)]
async fn order(item: u32) -> saga_runtime::Result<()> {
    pay(item).await?;
    Ok(())
}

fn main() {}
