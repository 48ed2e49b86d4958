use saga_runtime::prelude::*;

#[activity(compensate = release(output, sku))]
async fn reserve(sku: String) -> saga_runtime::Result<u64> {
    drop(sku);
    Ok(7)
}

#[activity]
async fn release(id: u64) -> saga_runtime::Result<()> {
    let _ = id;
    Ok(())
}

fn main() {}
