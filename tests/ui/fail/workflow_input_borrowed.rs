use saga_runtime::prelude::*;

#[workflow]
async fn saga(name: &str) -> saga_runtime::Result<()> {
    drop(name.to_owned());
    Ok(())
}

fn main() {}
