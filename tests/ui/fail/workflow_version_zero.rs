use saga_runtime::prelude::*;

#[workflow(version = 0)]
async fn saga() -> saga_runtime::Result<()> {
    Ok(())
}

fn main() {}
