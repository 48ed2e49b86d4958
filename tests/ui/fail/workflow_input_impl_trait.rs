use saga_runtime::prelude::*;

#[workflow]
async fn saga(name: impl Into<String>) -> saga_runtime::Result<()> {
    drop(name.into());
    Ok(())
}

fn main() {}
