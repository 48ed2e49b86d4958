use saga_runtime::prelude::*;

#[workflow(versoin = 2)]
async fn saga() -> saga_runtime::Result<()> {
    Ok(())
}

fn main() {}
