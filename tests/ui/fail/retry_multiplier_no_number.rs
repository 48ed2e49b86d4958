use saga_runtime::prelude::*;

#[activity(retry(multiplier = "2"))]
async fn greet() -> saga_runtime::Result<()> {
    Ok(())
}

fn main() {}
