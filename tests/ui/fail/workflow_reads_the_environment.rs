use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let _ = std::env::var("REGION");
    Ok(())
}

fn main() {}
