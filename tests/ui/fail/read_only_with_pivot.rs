use saga_runtime::prelude::*;

#[activity(read_only, pivot)]
async fn greet() -> saga_runtime::Result<()> {
    Ok(())
}

fn main() {}
