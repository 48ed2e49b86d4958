use saga_runtime::prelude::*;

#[activity(retry(initial = "1s", initial = "2s"))]
async fn greet() -> saga_runtime::Result<()> {
    Ok(())
}

fn main() {}
