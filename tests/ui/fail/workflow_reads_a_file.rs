use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let _ = std::fs::read("orders");
    Ok(())
}

fn main() {}
