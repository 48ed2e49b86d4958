use saga_runtime::prelude::*;

#[activity(pivot)]
async fn charge(item: u32) -> saga_runtime::Result<()> {
    let _ = item;
    Ok(())
}

#[workflow(strict)]
async fn order(item: u32) -> saga_runtime::Result<()> {
    let call = |item| charge(item);
    call(item).await?;
    Ok(())
}

fn main() {}
