use saga_runtime::prelude::*;

#[workflow(strict = true)]
async fn order(item: u32) -> saga_runtime::Result<()> {
    let _ = item;
    Ok(())
}

fn main() {}
