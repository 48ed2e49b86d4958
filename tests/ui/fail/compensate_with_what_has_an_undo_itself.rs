use saga_runtime::prelude::*;

#[activity(compensate = release(output))]
async fn reserve(sku: String) -> saga_runtime::Result<u64> {
    drop(sku);
    Ok(7)
}

#[activity(compensate = take_again(id))]
async fn release(id: u64) -> saga_runtime::Result<()> {
    let _ = id;
    Ok(())
}

#[activity]
async fn take_again(id: u64) -> saga_runtime::Result<()> {
    let _ = id;
    Ok(())
}

fn main() {}
