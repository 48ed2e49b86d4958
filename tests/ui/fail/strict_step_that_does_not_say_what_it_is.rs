use saga_runtime::prelude::*;

#[activity]
async fn note(item: u32) -> saga_runtime::Result<()> {
    let _ = item;
    Ok(())
}

#[workflow(strict)]
async fn order(item: u32) -> saga_runtime::Result<()> {
    note(item).await?;
    Ok(())
}

fn main() {}
