use saga_runtime::prelude::*;

#[activity(read_only)]
async fn look(item: u32) -> saga_runtime::Result<bool> {
    Ok(item > 0)
}

#[workflow(strict)]
async fn order(item: u32) -> saga_runtime::Result<()> {
    assert!(matches!(item, 7 if look(item).await?));
    Ok(())
}

fn main() {}
