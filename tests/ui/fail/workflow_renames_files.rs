use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    use std::fs as disk;
    let _ = disk::read("orders");
    Ok(())
}

fn main() {}
