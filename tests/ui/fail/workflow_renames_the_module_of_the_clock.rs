use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    use std::time as clocks;
    let _ = clocks::SystemTime::now();
    Ok(())
}

fn main() {}
