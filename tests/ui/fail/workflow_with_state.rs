use saga_runtime::prelude::*;

#[workflow]
async fn saga(#[state] stock: &u32) -> saga_runtime::Result<()> {
    let _ = stock;
    Ok(())
}

fn main() {}
