use saga_runtime::prelude::*;

#[workflow(version = 1, version = 2)]
async fn saga() -> saga_runtime::Result<()> {
    let _ = 7;
    Ok(())
}

fn main() {}
