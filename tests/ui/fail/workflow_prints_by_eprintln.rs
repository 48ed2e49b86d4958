use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    eprintln!("packed");
    Ok(())
}

fn main() {}
