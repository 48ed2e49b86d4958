use saga_runtime::prelude::*;

#[activity(queue = "eu/gpu")]
async fn greet() -> saga_runtime::Result<()> {
    Ok(())
}

fn main() {}
