use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    eprint!("packed");
    Ok(())
}

fn main() {}
