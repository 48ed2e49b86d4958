use saga_runtime::prelude::*;

#[workflow]
async fn child() -> saga_runtime::Result<()> {
    Ok(())
}

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    child();
    Ok(())
}

fn main() {}
