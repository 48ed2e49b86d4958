use saga_runtime::prelude::*;

#[activity("5s")]
async fn greet() -> saga_runtime::Result<()> {
    Ok(())
}

fn main() {}
