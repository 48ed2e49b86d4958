use saga_runtime::prelude::*;

#[activity(queue = "gpu", priority = "high")]
async fn render() -> saga_runtime::Result<()> {
    Ok(())
}

fn main() {}
