use saga_runtime::prelude::*;

#[activity(name = 7)]
async fn greet() -> saga_runtime::Result<()> {
    Ok(())
}

fn main() {}
