use saga_runtime::prelude::*;

#[activity(timeout = "5x")]
async fn greet() -> saga_runtime::Result<()> {
    Ok(())
}

fn main() {}
