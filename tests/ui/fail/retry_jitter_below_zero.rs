use saga_runtime::prelude::*;

#[activity(retry(jitter = -0.1))]
async fn greet() -> saga_runtime::Result<()> {
    Ok(())
}

fn main() {}
