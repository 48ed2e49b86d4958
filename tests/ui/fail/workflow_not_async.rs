use saga_runtime::prelude::*;

#[workflow]
fn saga() -> saga_runtime::Result<()> {
    Ok(())
}

fn main() {}
