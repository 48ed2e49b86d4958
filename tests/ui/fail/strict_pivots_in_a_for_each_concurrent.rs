use saga_runtime::prelude::*;

#[activity(pivot)]
async fn charge(item: u32) -> saga_runtime::Result<()> {
    let _ = item;
    Ok(())
}

#[workflow(strict)]
async fn order(item: u32) -> saga_runtime::Result<()> {
    for charged in for_each_concurrent(2, 0..item, charge).await {
        charged?;
    }
    Ok(())
}

fn main() {}
