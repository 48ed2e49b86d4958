use saga_runtime::prelude::*;

#[workflow]
async fn saga(#[input] name: String) -> saga_runtime::Result<()> {
    drop(name);
    Ok(())
}

fn main() {}
