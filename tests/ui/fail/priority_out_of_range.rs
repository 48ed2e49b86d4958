use saga_runtime::prelude::*;

#[activity(queue = "gpu", priority = 40_000)]
async fn render() -> saga_runtime::Result<()> {
    Ok(())
}

fn main() {}
