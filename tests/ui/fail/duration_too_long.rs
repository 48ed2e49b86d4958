use saga_runtime::prelude::*;

#[activity(timeout = "999999d")]
async fn greet() -> saga_runtime::Result<()> {
    Ok(())
}

fn main() {}
