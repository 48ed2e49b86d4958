use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    use std::time::Instant as Clock;
    let _ = Clock::now();
    Ok(())
}

fn main() {}
