use saga_runtime::prelude::*;

#[activity(pivot)]
async fn charge(item: u32) -> saga_runtime::Result<()> {
    let _ = item;
    Ok(())
}

#[workflow(strict)]
async fn order(item: u32) -> saga_runtime::Result<()> {
    for charged in join_all((0..item).map(|item| charge(item))).await {
        charged?;
    }
    Ok(())
}

fn main() {}
