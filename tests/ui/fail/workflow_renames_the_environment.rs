use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    use std::env::var as setting;
    let _ = setting("REGION");
    Ok(())
}

fn main() {}
