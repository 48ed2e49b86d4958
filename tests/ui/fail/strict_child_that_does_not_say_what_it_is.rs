use saga_runtime::prelude::*;

#[workflow]
async fn parcel(item: u32) -> saga_runtime::Result<()> {
    let _ = item;
    Ok(())
}

#[workflow(strict)]
async fn order(item: u32) -> saga_runtime::Result<()> {
    parcel(item).await?;
    Ok(())
}

fn main() {}
